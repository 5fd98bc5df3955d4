"""Waiting for what happens to jobs without holding a thread: one subscription a process wakes everybody.

It is there while somebody listens, and a little longer: every event of every job costs whoever hears of it.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager
from enum import Enum, auto

from starlette.concurrency import run_in_threadpool

from api.feed import Feed, News
from api.listener import Listener
from api.outages import Outages
from jobs.errors import StoreUnavailableError
from jobs.state import FINAL_STATES, Job

RESUBSCRIBE_SECONDS = 1
IDLE_SECONDS = 10  # subscribing anew for each of many waiters would cost more than the news between them


class Topic(Enum):
    """What one can listen to: the end of a job, everything of a job, everything of a tenant's jobs."""

    END = auto()
    JOB = auto()
    TENANT = auto()


class Watch:
    """Tells waiters what happened to their jobs.

    The record decides, and the feed only says when to look at it. A waiter also looks now and then by
    itself, so that a lost subscription delays its answer and nothing more.

    Args:
        read: the job of an id, as the store has it; called in a thread.
        feed: news of job events; without one there is only the looking by itself.
        recheck_seconds: how often that is.
        outages: the gateway's.
    """

    def __init__(
        self,
        read: Callable[[str], Job],
        feed: Feed | None = None,
        recheck_seconds: float = 5,
        outages: Outages | None = None,
    ) -> None:
        self._read = read
        self._feed = feed
        self._recheck_seconds = recheck_seconds
        self._outage = (outages or Outages()).job_store
        self._listeners: defaultdict[tuple[Topic, str], set[Listener]] = defaultdict(set)
        self._wanted = asyncio.Event()  # the subscription
        self._left_at = 0.0  # by the last listener, by the event loop's clock
        self.closed = False

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Follow the feed while anybody listens, for as long as the context lasts."""
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
        with self.listening(Topic.END, job.id) as listener:
            while not self.closed and (left := deadline - clock()) > 0:
                listener.taken()  # before the look, so that news during it are not missed
                job = await self._look(job)
                if job.state.is_final:
                    break
                await listener.wait(min(left, self._recheck_seconds))
        return job

    @contextmanager
    def listening(self, topic: Topic, name: str) -> Iterator[Listener]:
        """Be told of what happens to one job, or to one tenant's jobs, for as long as the context lasts."""
        listener, key = Listener(), (topic, name)
        self._listeners[key].add(listener)
        self._wanted.set()
        try:
            yield listener
        finally:
            self._listeners[key].discard(listener)
            if not self._listeners[key]:
                del self._listeners[key]
            self._left_at = asyncio.get_running_loop().time()

    def close(self) -> None:
        """Let every waiter go with what it has."""
        self.closed = True
        self._wake_all()

    async def _look(self, job: Job) -> Job:
        try:
            return await run_in_threadpool(self._read, job.id)
        except StoreUnavailableError:  # it was accepted all the same; go on waiting
            return job

    async def _follow(self, feed: Feed) -> None:
        while await self._wanted.wait():
            try:
                await self._hear(feed)
            except StoreUnavailableError as error:
                self._outage.meet(error)  # those who wait look for themselves until it is back
                await asyncio.sleep(RESUBSCRIBE_SECONDS)

    async def _hear(self, feed: Feed) -> None:
        """Pass the news on until there has been nobody for a while who wants them."""
        async with aclosing(feed.listen()) as heard:
            async for news in heard:
                if news is None:  # subscribed just now, and anything may have happened before
                    self._outage.is_over()
                    self._wake_all()
                else:
                    self._spread(news)
                if self._is_idle():
                    self._wanted.clear()
                    return

    def _is_idle(self) -> bool:
        return not self._listeners and asyncio.get_running_loop().time() >= self._left_at + IDLE_SECONDS

    def _spread(self, news: News) -> None:
        if news.type in FINAL_STATES:
            self._tell(Topic.END, news.job_id)
        self._tell(Topic.JOB, news.job_id)
        self._tell(Topic.TENANT, news.tenant, news.job_id if news.type == "progress" else None)

    def _tell(self, topic: Topic, name: str, progressed: str | None = None) -> None:
        for listener in self._listeners.get((topic, name), ()):
            listener.tell(progressed)

    def _wake_all(self) -> None:
        for topic, name in self._listeners:
            self._tell(topic, name)


async def _stop(task: asyncio.Task[None]) -> None:
    """Cancel a task until it ends: before Python 3.12 wait_for can swallow a cancellation (gh-86296)."""
    while not task.done():
        task.cancel()
        await asyncio.wait([task], timeout=1)
