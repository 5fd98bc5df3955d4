"""Programs of ours that read strangers' files, each run in a process of its own with little to lose."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

_ROOT = Path(__file__).parent.parent
_CPU_SECONDS = 120
_MEMORY_BYTES = 4 * 1024**3
_OUTPUT_BYTES = 1024**3


def run_apart(module: str, *arguments: str | Path, seconds: float) -> bytes:
    """Run ``python -m module``, and return what it printed.

    Raises:
        subprocess.SubprocessError: it failed, or took too long.
    """
    # Nothing of this process's environment: it holds secrets, and a decoder of strangers' files needs none.
    environment = {"PATH": os.defpath, "PYTHONPATH": str(_ROOT), "LANG": "C.UTF-8"}
    return subprocess.run(  # noqa: S603 - our own program; the paths are our own as well
        [sys.executable, "-m", module, *arguments],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        timeout=seconds,
        check=True,
    ).stdout


def limit_this_process() -> None:
    """Bound the memory, time and output of such a program; it calls this before it reads anything."""
    limits = {
        resource.RLIMIT_AS: _MEMORY_BYTES,
        resource.RLIMIT_CPU: _CPU_SECONDS,
        resource.RLIMIT_FSIZE: _OUTPUT_BYTES,
        resource.RLIMIT_CORE: 0,
    }
    for what, most in limits.items():
        _, hard = resource.getrlimit(what)
        resource.setrlimit(what, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))
