"""What a process died of, as far as Linux tells those who did not start it."""

from __future__ import annotations

import signal
import time
from pathlib import Path

_PROC, _CGROUPS = Path("/proc"), Path("/sys/fs/cgroup")
_LOOKS, _LOOK_SECONDS = 50, 0.001  # until whoever started it has taken note of its end


class Death:
    """Looks into the end of a process; make it while the process lives.

    Args:
        pid: its process id.
    """

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._oom_kills = _oom_kills()

    def describe(self) -> str:
        """A few words for the error of a job; to be asked as soon as the process has died."""
        code = self._wait_status()
        if code is None:
            return "the system does not say why"
        number = code & 0x7F
        if not number:
            return f"it ended with status {code >> 8}"
        if number == signal.SIGKILL and _oom_kills() > self._oom_kills:
            return "killed by the system, out of memory"
        return f"killed by {signal.Signals(number).name}"

    def _wait_status(self) -> int | None:
        """The status as ``wait`` gives it, which stays readable until the parent has asked for it."""
        for _ in range(_LOOKS):
            try:
                fields = (_PROC / str(self._pid) / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                return None
            if fields[0] == "Z":
                return int(fields[-1])
            time.sleep(_LOOK_SECONDS)
        return None


def _oom_kills() -> int:
    """How many processes of this control group were killed for want of memory."""
    try:
        group = (_PROC / "self" / "cgroup").read_text().rpartition("::/")[2].strip()
        events = (_CGROUPS / group / "memory.events").read_text().split()
        return int(events[events.index("oom_kill") + 1])
    except (OSError, ValueError):
        return 0
