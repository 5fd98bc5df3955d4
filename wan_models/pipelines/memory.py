"""The device's memory: how much there is, and giving it back."""

from __future__ import annotations

import gc
import os
import re
from pathlib import Path

import torch


def has_gpu() -> bool:
    """Whether models run on a GPU here, whose memory is the one that counts."""
    return torch.cuda.is_available()


def own_device() -> torch.device:
    """Where this process computes. With its number: of GPUs that share a video, each process has another."""
    return torch.device("cuda", torch.cuda.current_device()) if has_gpu() else torch.device("cpu")


def own_dtype() -> torch.dtype:
    """The precision that models run in here, but for those parts of them that always run in float32."""
    return torch.bfloat16 if has_gpu() else torch.float32


def bytes_each() -> int:
    """Bytes of a weight as it runs."""
    return own_dtype().itemsize


def free_bytes() -> int:
    """What the device has left, or the host where there is none; torch's own cache counts as free."""
    if not has_gpu():
        return host_free_bytes()
    free, _ = torch.cuda.mem_get_info()
    return free + torch.cuda.memory_reserved() - torch.cuda.memory_allocated()


def host_free_bytes() -> int:
    """What the host can give without swapping; its file cache counts as free, where the system tells."""
    try:
        told = re.search(r"^MemAvailable:\s+(\d+) kB$", Path("/proc/meminfo").read_text(), re.MULTILINE)
    except OSError:
        told = None
    return int(told[1]) * 1024 if told else os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def limit(most: int | None) -> None:
    """Let this process take no more of its GPU than so many bytes: beyond, it alone is out of memory."""
    if most is not None and has_gpu():
        _, there_are = torch.cuda.mem_get_info()
        torch.cuda.set_per_process_memory_fraction(min(1.0, most / there_are))


def free_memory() -> None:
    """Collect what nobody refers to any more, and return torch's cache to the device."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
