"""Which GPUs a supervisor serves. Asks the driver's tool, so that the parent never touches CUDA."""

from __future__ import annotations

import logging
import re
import shutil
import subprocess
from collections.abc import Sequence

_log = logging.getLogger(__name__)

_DRIVER_SECONDS = 60  # a driver that wakes many GPUs takes a while


class GpuSelectionError(ValueError):
    """``--gpus`` names something that is not here."""


def select_gpus(wanted: str, visible: str | None, present: Sequence[str]) -> list[str]:
    """The values of CUDA_VISIBLE_DEVICES for the workers to start: one each; none means one CPU worker.

    Args:
        wanted: ``all``, ``none``, a count (``2``) or a comma-separated list (``0,3`` or ``GPU-…``).
            A single number is a count; write ``3,`` for the GPU of that number.
        visible: CUDA_VISIBLE_DEVICES of the supervisor; ``all``, empty or None do not restrict.
        present: indices of the GPUs of this machine.

    Raises:
        GpuSelectionError: more, or others, are wanted than there are.
    """
    available = list(present) if visible in (None, "", "all") else _names(visible or "")
    if wanted == "all":
        return available
    if wanted == "none":
        return []
    if wanted.isdecimal():
        if int(wanted) > len(available):
            raise GpuSelectionError(f"--gpus {wanted}: only {len(available)} GPUs are visible here.")
        return available[: int(wanted)]
    chosen = _names(wanted)
    missing = [name for name in chosen if name not in available and not name.startswith("GPU-")]
    if missing or not chosen:
        raise GpuSelectionError(
            f"--gpus {wanted}: this machine shows the GPUs {', '.join(available) or 'none'}."
            " Write all, none, a count, or a list such as 0,1."
        )
    return chosen


def present_gpus() -> list[str]:
    """Indices of this machine's NVIDIA GPUs, by ``nvidia-smi -L``; none where that is missing or fails."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return []
    listing = subprocess.run(  # noqa: S603 - found on PATH
        [tool, "-L"], capture_output=True, text=True, check=False, timeout=_DRIVER_SECONDS
    )
    if listing.returncode:
        _log.warning("nvidia-smi -L failed, so no GPU is served: %s", listing.stdout.strip())
    return re.findall(r"^GPU (\d+):", listing.stdout, flags=re.MULTILINE)


def _names(text: str) -> list[str]:
    """Each name once: two workers would fight for the memory of one GPU."""
    return list(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
