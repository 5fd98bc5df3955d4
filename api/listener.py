"""Somebody who waits for news of a job, or of a tenant's jobs."""

from __future__ import annotations

import asyncio
from contextlib import suppress


class Listener:
    """What one waiter was told and has not looked at yet. It holds one flag and ids, never a backlog.

    Attributes:
        since: when it was told last, by the event loop's clock; what was read since then is fresh.
        progressed: ids of the jobs that made progress, until ``taken``.
    """

    def __init__(self) -> None:
        self._woken = asyncio.Event()
        self.since = asyncio.get_running_loop().time()
        self.progressed: set[str] = set()

    def tell(self, progressed: str | None = None) -> None:
        """Wake it, with the id of a job that made progress if that is the news."""
        self.since = asyncio.get_running_loop().time()
        if progressed is not None:
            self.progressed.add(progressed)
        self._woken.set()

    async def wait(self, seconds: float) -> bool:
        """Whether there was news within so many seconds."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._woken.wait(), seconds)
        return self._woken.is_set()

    def taken(self) -> set[str]:
        """Begin to look: from here on news wake it again. Returns the jobs that made progress."""
        self._woken.clear()
        taken, self.progressed = self.progressed, set()
        return taken
