"""Which GPUs a supervisor serves. Asks the driver's tool, so that the parent never touches CUDA."""

from __future__ import annotations

import logging
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence

_log = logging.getLogger(__name__)

_DRIVER_SECONDS = 60  # a driver that wakes many GPUs takes a while


class GpuSelectionError(ValueError):
    """``--gpus`` names something that is not here."""


def select_gpus(wanted: str, visible: str | None, present: Mapping[str, str]) -> list[str]:
    """The values of CUDA_VISIBLE_DEVICES for the workers to start: one each; none means one CPU worker.

    Args:
        wanted: ``all``, ``none``, a count (``2``) or a comma-separated list (``0,3`` or ``GPU-…``).
            A single number is a count; write ``3,`` for the GPU of that number.
        visible: CUDA_VISIBLE_DEVICES of the supervisor; ``all``, empty or None do not restrict.
        present: the UUIDs of this machine's GPUs by their index.

    Raises:
        GpuSelectionError: more, or others, are wanted than there are.
    """
    available = list(present) if visible in (None, "", "all") else _names(visible or "", present)
    if wanted == "all":
        return available
    if wanted == "none":
        return []
    if wanted.isdecimal():
        if int(wanted) > len(available):
            raise GpuSelectionError(f"--gpus {wanted}: only {len(available)} GPUs are visible here.")
        return available[: int(wanted)]
    chosen = _names(wanted, present)
    known = {_index(name, present) for name in available}
    missing = [name for name in chosen if _index(name, present) not in known]
    if missing or not chosen:
        raise GpuSelectionError(
            f"--gpus {wanted}: this machine shows the GPUs {', '.join(available) or 'none'}."
            " Write all, none, a count, or a list such as 0,1."
        )
    return chosen


def share_gpus(gpus: Sequence[str], each: int) -> list[str]:
    """The values of CUDA_VISIBLE_DEVICES where each worker has several GPUs.

    Raises:
        GpuSelectionError: some would be left over, or there are none.
    """
    if each > 1 and (not gpus or len(gpus) % each):
        raise GpuSelectionError(f"CONTEXT_PARALLEL={each} needs a multiple of {each} GPUs, not {len(gpus)}.")
    return [",".join(gpus[start : start + each]) for start in range(0, len(gpus), each)]


def present_gpus() -> dict[str, str]:
    """The UUIDs of this machine's NVIDIA GPUs by index; none where ``nvidia-smi`` is missing or fails."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return {}
    listing = subprocess.run(  # noqa: S603 - found on PATH
        [tool, "-L"], capture_output=True, text=True, check=False, timeout=_DRIVER_SECONDS
    )
    if listing.returncode:
        _log.warning("nvidia-smi -L failed, so no GPU is served: %s", listing.stdout.strip())
    return dict(re.findall(r"^GPU (\d+):.*\(UUID: (\S+)\)$", listing.stdout, flags=re.MULTILINE))


def _names(text: str, present: Mapping[str, str]) -> list[str]:
    """Each GPU once, as it is written: two workers would fight for the memory of one."""
    names = (name.strip() for name in text.split(",") if name.strip())
    return list({_index(name, present): name for name in names}.values())


def _index(name: str, present: Mapping[str, str]) -> str:
    """The index of a GPU by the beginning of its UUID, which CUDA takes as well, or else the name itself."""
    if not name.startswith("GPU-"):
        return name
    return next((index for index, uuid in present.items() if uuid.startswith(name)), name)
