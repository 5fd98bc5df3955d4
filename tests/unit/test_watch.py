"""Waiting for a job to end: woken by the feed, safe without it, and free to go when the gateway stops."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable

import pytest

from api.feed import News
from api.watch import Topic, Watch
from jobs.errors import JobNotFoundError, StoreUnavailableError
from jobs.policy import Policy
from jobs.state import Job, JobState, NewJob
from jobs.store_memory import MemoryJobStore

LONG = 3600.0  # far beyond the time limit of a test
JOB_ID = "job_1"


class ScriptedFeed:
    """A feed that says what a test puts in; an exception breaks it off."""

    def __init__(self) -> None:
        self.said: asyncio.Queue[News | StoreUnavailableError] = asyncio.Queue()
        self.subscriptions = 0
        self.subscribed = asyncio.Event()
        self.left = asyncio.Event()

    async def listen(self) -> AsyncGenerator[News | None]:
        self.subscriptions += 1
        try:
            yield None
            self.subscribed.set()
            while True:
                news = await self.said.get()
                if isinstance(news, StoreUnavailableError):
                    raise news
                yield news
                self.said.task_done()  # the watch has dealt with it and asks for more
        finally:
            self.left.set()

    async def until_wanted_by(self, watch: Watch) -> None:
        """Have somebody listen for a moment."""
        with watch.listening(Topic.TENANT, "nobody"):
            await self.subscribed.wait()


class Looks:
    """A store's ``get`` that tells when it was called, for so many times."""

    def __init__(self, store: MemoryJobStore) -> None:
        self.store = store
        self.count = 0
        self.seen: asyncio.Queue[int] = asyncio.Queue()
        self.loop = asyncio.get_running_loop()

    def __call__(self, job_id: str) -> Job:
        job = self.store.get(job_id)
        self.count += 1
        self.loop.call_soon_threadsafe(self.seen.put_nowait, self.count)
        return job

    async def until(self, count: int) -> None:
        while await self.seen.get() < count:
            pass


@pytest.fixture
def store() -> MemoryJobStore:
    store = MemoryJobStore(Policy())
    store.submit(NewJob(id=JOB_ID, queue="t2v-A14B", spec={}))
    return store


def test_a_waiter_is_woken_by_the_news_that_its_job_ended(store):
    async def scenario() -> Job:
        feed, looks = ScriptedFeed(), Looks(store)
        watch = Watch(looks, feed, recheck_seconds=LONG)
        async with watch.running():
            waiting = asyncio.create_task(watch.until_final(store.get(JOB_ID), LONG))
            await looks.until(1)
            store.cancel(JOB_ID)
            await feed.said.put(News("t1", JOB_ID, "cancelled"))
            return await waiting

    assert asyncio.run(scenario()).state is JobState.CANCELLED


def test_news_of_other_jobs_and_of_mere_progress_cost_no_look(store):
    async def scenario() -> int:
        feed, looks = ScriptedFeed(), Looks(store)
        watch = Watch(looks, feed, recheck_seconds=LONG)
        async with watch.running():
            await feed.until_wanted_by(watch)
            waiting = asyncio.create_task(watch.until_final(store.get(JOB_ID), LONG))
            await looks.until(1)
            for news in (
                News("t1", JOB_ID, "progress"),
                News("t1", "job_2", "completed"),
                News("t1", JOB_ID, "in_progress"),
            ):
                await feed.said.put(news)
                await feed.said.join()
                await asyncio.to_thread(store.ping)  # time enough for a look, were there a reason for one
            store.cancel(JOB_ID)
            await feed.said.put(News("t1", JOB_ID, "cancelled"))
            await waiting
            return looks.count

    assert asyncio.run(scenario()) == 2


def test_being_woken_for_nothing_costs_one_look_and_no_more(store, monkeypatch):
    monkeypatch.setattr("api.watch.RESUBSCRIBE_SECONDS", 0)

    async def scenario() -> int:
        feed, looks = ScriptedFeed(), Looks(store)
        watch = Watch(looks, feed, recheck_seconds=LONG)
        async with watch.running():
            await feed.until_wanted_by(watch)
            waiting = asyncio.create_task(watch.until_final(store.get(JOB_ID), LONG))
            await looks.until(1)
            await feed.said.put(StoreUnavailableError("The feed broke off."))
            await looks.until(2)
            await asyncio.to_thread(store.ping)
            store.cancel(JOB_ID)
            await feed.said.put(News("t1", JOB_ID, "cancelled"))
            await waiting
            return looks.count

    assert asyncio.run(scenario()) == 3


def test_a_job_that_ended_already_is_answered_at_once(store):
    async def scenario() -> Job:
        stale = store.get(JOB_ID)
        store.cancel(JOB_ID)
        return await Watch(store.get, recheck_seconds=LONG).until_final(stale, LONG)

    assert asyncio.run(scenario()).state is JobState.CANCELLED


def test_without_a_feed_the_waiter_looks_for_itself(store):
    async def scenario() -> Job:
        looks = Looks(store)
        watch = Watch(looks, recheck_seconds=0.001)
        waiting = asyncio.create_task(watch.until_final(store.get(JOB_ID), LONG))
        await looks.until(3)
        store.cancel(JOB_ID)
        return await waiting

    assert asyncio.run(scenario()).state is JobState.CANCELLED


def test_when_the_time_is_up_the_job_is_answered_as_it_is(store):
    async def scenario() -> Job:
        return await Watch(store.get).until_final(store.get(JOB_ID), 0.01)

    assert asyncio.run(scenario()).state is JobState.QUEUED


def test_a_wait_of_no_seconds_does_not_even_look(store):
    async def scenario() -> int:
        looks = Looks(store)
        await Watch(looks).until_final(store.get(JOB_ID), 0)
        return looks.count

    assert asyncio.run(scenario()) == 0


def test_a_feed_that_broke_off_is_taken_up_again_and_what_it_missed_is_found(store, monkeypatch):
    monkeypatch.setattr("api.watch.RESUBSCRIBE_SECONDS", 0)

    async def scenario() -> tuple[Job, int]:
        feed, looks = ScriptedFeed(), Looks(store)
        watch = Watch(looks, feed, recheck_seconds=LONG)
        async with watch.running():
            waiting = asyncio.create_task(watch.until_final(store.get(JOB_ID), LONG))
            await looks.until(1)
            store.cancel(JOB_ID)  # nobody says so
            await feed.said.put(StoreUnavailableError("The feed broke off."))
            return await waiting, feed.subscriptions

    job, subscriptions = asyncio.run(scenario())
    assert (job.state, subscriptions) == (JobState.CANCELLED, 2)


def test_nobody_hears_of_anything_while_nobody_listens(store, monkeypatch):
    monkeypatch.setattr("api.watch.IDLE_SECONDS", 0)
    other = News("t1", "job_2", "completed")

    async def scenario() -> list[int]:
        feed = ScriptedFeed()
        watch = Watch(store.get, feed, recheck_seconds=LONG)
        subscriptions = []
        async with watch.running():
            await asyncio.to_thread(store.ping)
            subscriptions.append(feed.subscriptions)
            for _ in range(2):
                feed.subscribed.clear()
                feed.left.clear()
                await feed.until_wanted_by(watch)
                await feed.said.put(other)
                await feed.left.wait()
                subscriptions.append(feed.subscriptions)
        return subscriptions

    assert asyncio.run(scenario()) == [0, 1, 2]


def test_the_feed_is_kept_for_a_while_after_the_last_listener(store):
    async def scenario() -> int:
        feed = ScriptedFeed()
        watch = Watch(store.get, feed, recheck_seconds=LONG)
        async with watch.running():
            for _ in range(3):
                await feed.until_wanted_by(watch)
                await feed.said.put(News("t1", "job_2", "completed"))
                await feed.said.join()
            return feed.subscriptions

    assert asyncio.run(scenario()) == 1


def test_a_store_that_is_away_for_a_while_costs_the_waiter_nothing(store):
    async def scenario() -> Job:
        answers: list[Callable[[], Job]] = [lambda: store.cancel(JOB_ID)]

        def read(_: str) -> Job:
            if len(answers) == 1:
                answers.append(answers[0])
                raise StoreUnavailableError("The store does not answer.")
            return answers[0]()

        return await Watch(read, recheck_seconds=0.001).until_final(store.get(JOB_ID), LONG)

    assert asyncio.run(scenario()).state is JobState.CANCELLED


def test_a_job_deleted_meanwhile_is_not_waited_for(store):
    async def scenario() -> Job:
        job = store.cancel(JOB_ID)
        store.remove(JOB_ID)
        return await Watch(store.get).until_final(job, LONG)

    with pytest.raises(JobNotFoundError):
        asyncio.run(scenario())


def test_closing_the_watch_lets_everybody_go(store):
    async def scenario() -> list[Job]:
        looks = Looks(store)
        watch = Watch(looks, recheck_seconds=LONG)
        waiting = [asyncio.create_task(watch.until_final(store.get(JOB_ID), LONG)) for _ in range(3)]
        await looks.until(3)
        watch.close()
        return await asyncio.gather(*waiting)

    assert [job.state for job in asyncio.run(scenario())] == [JobState.QUEUED] * 3


def test_nobody_is_remembered_who_waits_no_more(store):
    async def scenario() -> Watch:
        watch = Watch(store.get)
        await watch.until_final(store.get(JOB_ID), 0.01)
        return watch

    assert not asyncio.run(scenario())._listeners
