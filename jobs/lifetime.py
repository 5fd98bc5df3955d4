"""Processes that do not outlive whoever keeps them running."""

from __future__ import annotations

import os
import signal
import time
from threading import Thread

KEEPER_VARIABLE = "WANSERVE_KEEPER"
"""Set for a kept process: the process id of its keeper."""

_WATCH_SECONDS = 0.5


def end_with_keeper() -> None:
    """Have this process told to stop, as by SIGTERM, once the keeper that started it has died.

    A kept process has a session of its own, so nothing else would tell it when its keeper is killed:
    it would hold its port and its GPU for ever. Without a keeper nothing is watched.
    """
    keeper = int(os.environ.get(KEEPER_VARIABLE, "0"))
    if keeper:
        Thread(target=_watch, args=(keeper,), name="keeper-watch", daemon=True).start()


def _watch(keeper: int) -> None:
    # An orphan gets another parent at once; no signal tells of it on every Unix.
    while os.getppid() == keeper:
        time.sleep(_WATCH_SECONDS)
    os.kill(os.getpid(), signal.SIGTERM)
