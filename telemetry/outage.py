"""Telling of something that does not answer: when that begins, once a minute, and when it is over."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from threading import Lock

AGAIN_SECONDS = 60.0
"""How often the log tells of an outage that lasts. One that was not met for so long is a new one."""


class Outage:
    """The log lines about one party's absences, which many notice and one tells of. From any thread.

    Args:
        log: where they go.
        what: who it is, as the beginning of a sentence.
        clock: seconds that only go up.
    """

    def __init__(self, log: logging.Logger, what: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._log = log
        self._what = what
        self._clock = clock
        self._lock = Lock()
        self._since: float | None = None
        self._met_at = self._told_at = 0.0

    def meet(self, why: object) -> None:
        """Note that it does not answer; ``why`` says so, and what to do."""
        with self._lock:
            now = self._clock()
            if self._since is None or now - self._met_at >= AGAIN_SECONDS:
                self._since, self._told_at = now, now - AGAIN_SECONDS
            self._met_at, lasts = now, now - self._since
            if now - self._told_at < AGAIN_SECONDS:
                return
            self._told_at = now
        self._log.warning("%s%s", why, f" So it has been for {lasts:.0f} s." if lasts else "")

    def is_over(self) -> None:
        """Note that it answers."""
        with self._lock:
            since, self._since = self._since, None
        if since is not None:
            self._log.info("%s answers again, after %.0f s", self._what, self._clock() - since)
