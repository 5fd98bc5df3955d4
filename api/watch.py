"""Waiting for jobs to end without holding a thread: one subscription a process wakes every waiter."""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress

from starlette.concurrency import run_in_threadpool

from api.feed import Feed
from jobs.errors import StoreUnavailableError
from jobs.state import FINAL_STATES, Job

RESUBSCRIBE_SECONDS = 1

_log = logging.getLogger(__name__)


class Watch:
    """Tells waiters when their jobs have ended.

    The record decides, and the feed only says when to look at it. A waiter also looks now and then by
    itself, so that a lost subscription delays its answer and nothing more.

    Args:
        read: the job of an id, as the store has it; called in a thread.
        feed: news of job events; without one there is only the looking by itself.
        recheck_seconds: how often that is.
    """

    def __init__(
        self, read: Callable[[str], Job], feed: Feed | None = None, recheck_seconds: float = 5
    ) -> None:
        self._read = read
        self._feed = feed
        self._recheck_seconds = recheck_seconds
        self._waiters: defaultdict[str, set[asyncio.Event]] = defaultdict(set)
        self._closed = False

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Follow the feed for as long as the context lasts."""
        follower = asyncio.create_task(self._follow(self._feed)) if self._feed else None
        try:
            yield
        finally:
            self.close()
            if follower:
                await _stop(follower)

    async def until_final(self, job: Job, seconds: float) -> Job:
        """The job once it is final, or as it is when the time is up or the watch is closed.

        Raises:
            JobNotFoundError: the record was removed meanwhile.
        """
        clock = asyncio.get_running_loop().time
        deadline = clock() + seconds
        with self._waiting_for(job.id) as woken:
            while not self._closed and (left := deadline - clock()) > 0:
                woken.clear()  # before the look, so that news during it are not missed
                job = await self._look(job)
                if job.state.is_final:
                    break
                with suppress(TimeoutError):
                    await asyncio.wait_for(woken.wait(), min(left, self._recheck_seconds))
        return job

    def close(self) -> None:
        """Let every waiter go with what it has."""
        self._closed = True
        self._wake_all()

    async def _look(self, job: Job) -> Job:
        try:
            return await run_in_threadpool(self._read, job.id)
        except StoreUnavailableError:  # it was accepted all the same; go on waiting
            return job

    async def _follow(self, feed: Feed) -> None:
        while True:
            try:
                async for news in feed.listen():
                    if news is None:  # subscribed just now, and anything may have happened before
                        self._wake_all()
                    elif news.type in FINAL_STATES:
                        self._wake(news.job_id)
            except StoreUnavailableError as error:
                _log.warning("%s Waiting clients look for themselves until it is back.", error)
            await asyncio.sleep(RESUBSCRIBE_SECONDS)

    @contextmanager
    def _waiting_for(self, job_id: str) -> Iterator[asyncio.Event]:
        woken = asyncio.Event()
        self._waiters[job_id].add(woken)
        try:
            yield woken
        finally:
            self._waiters[job_id].discard(woken)
            if not self._waiters[job_id]:
                del self._waiters[job_id]

    def _wake(self, job_id: str) -> None:
        for woken in self._waiters.get(job_id, ()):
            woken.set()

    def _wake_all(self) -> None:
        for job_id in self._waiters:
            self._wake(job_id)


async def _stop(task: asyncio.Task[None]) -> None:
    """Cancel a task until it ends: before Python 3.12 wait_for can swallow a cancellation (gh-86296)."""
    while not task.done():
        task.cancel()
        await asyncio.wait([task], timeout=1)
