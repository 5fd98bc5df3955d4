"""Forecasts, held against what then happens: workers that claim from a real store on a clock of their own."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import count
from math import isclose
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.forecast import Forecast
from jobs.policy import Caps, Policy
from jobs.state import ANY_KIND, Job, JobError, JobState, NewJob, Pace, Priority
from jobs.store_memory import MemoryJobStore

Q = "t2v-A14B"
PATIENT = Policy(lease_seconds=1e9, max_attempts=3)
BROKEN = JobError("device_fault", "It broke.")


class Store(MemoryJobStore):
    """Jobs take what their pace key says, in seconds. That is known, or else what is ``learned``."""

    learned: Mapping[str, Pace] | None = None

    def paces(self, queue: str) -> Mapping[str, Pace]:
        if self.learned is not None:
            return self.learned
        return {job.pace_key: Pace(0, float(job.pace_key)) for job in self._jobs.values() if job.pace_key}


class World:
    """A store, workers that take turns among their queues, and the time."""

    def __init__(self, workers: Mapping[str, Sequence[str]]) -> None:
        self.time = 1_763_000_000.0
        self.store = Store(PATIENT, lambda: self.time)
        self.turns = {name: list(queues) for name, queues in workers.items()}
        self.running: dict[str, tuple[float, Job]] = {}  # by worker: until when
        self.started: dict[str, float] = {}
        self._numbers = count()

    def submit(self, seconds: float, tenant: str = "a", queue: str = Q, **changes: Any) -> Job:
        number = next(self._numbers)
        named = {"id": f"job_{number:06}", "queue": queue, "tenant": tenant, "pace_key": str(seconds)}
        new = NewJob(spec={}, **(named | changes))
        return self.store.submit(new)

    def forecast(self) -> Forecast:
        for worker, queues in self.turns.items():
            self.store.announce(worker, sorted(queues))
        names = sorted({queue for served in self.turns.values() for queue in served})
        outlooks = {queue: self.store.outlook(queue) for queue in names}
        return Forecast(outlooks, self.store.workers(), self.time)

    def waiting(self) -> list[Job]:
        return [job for job in self.store._jobs.values() if job.state is JobState.QUEUED]

    def run(self, until: Callable[[], bool]) -> None:
        """Let time pass from event to event."""
        self.claim()
        while not until() and (moments := list(self.moments())):
            self.time = max(self.time, min(moments))
            for worker, (end, job) in list(self.running.items()):
                if end <= self.time:
                    del self.running[worker]
                    self.store.succeed(job.lease, {})
            self.claim()

    def moments(self) -> Iterator[float]:
        yield from (end for end, _ in self.running.values())
        yield from (job.not_before for job in self.waiting() if job.not_before)

    def claim(self) -> None:
        self.store.promote()
        for worker in self.turns.keys() - self.running.keys():
            for queue in list(self.turns[worker]):
                if job := self.store.claim(queue, worker):
                    self.begin(worker, queue, job)
                    break

    def begin(self, worker: str, queue: str, job: Job) -> None:
        self.started.setdefault(job.id, self.time)
        self.running[worker] = (round(self.time + float(job.pace_key), 3), job)
        self.turns[worker].remove(queue)
        self.turns[worker].append(queue)

    def is_over(self) -> bool:
        return not self.running and not self.waiting()


def seconds(chance: random.Random) -> float:
    return chance.randrange(10_000, 600_000) / 1000


@settings(max_examples=150, deadline=None)
@given(
    chance=st.randoms(use_true_random=False),
    workers=st.integers(1, 4),
    jobs=st.integers(1, 14),
    caps=st.fixed_dictionaries({tenant: st.sampled_from([None, None, 1, 2]) for tenant in "abc"}),
)
def test_jobs_start_when_they_were_told_to(chance, workers, jobs, caps):
    """With priorities, jobs of all sizes, caps, jobs that run already and some that are to be tried again."""
    chance = random.Random(chance.random())  # as many kinds of numbers as there are
    world = World({f"w{number}": [Q] for number in range(workers)})
    for tenant, most in caps.items():
        world.store.set_caps(tenant, Caps(in_progress=most))
    for _ in range(chance.randrange(workers + 1)):
        failed = world.submit(seconds(chance), chance.choice("abc"))
        claimed = world.store.claim(Q, "w0")
        assert claimed
        assert claimed.id == failed.id
        world.store.retry(claimed.lease, BROKEN, seconds(chance))
    for _ in range(jobs):
        world.submit(seconds(chance), chance.choice("abc"), priority=chance.choice(list(Priority)))
        world.time += seconds(chance) / 40
    stop_at = world.time + seconds(chance)
    world.run(lambda: world.time >= stop_at)
    forecast = world.forecast()
    told = {job.id: forecast.start(world.store.get(job.id)) for job in world.waiting()}
    world.started = {}
    world.run(world.is_over)
    assert told == {job_id: pytest.approx(world.started[job_id], abs=0.01) for job_id in told}


@settings(max_examples=60, deadline=None)
@given(chance=st.randoms(use_true_random=False), workers=st.integers(1, 4), jobs=st.integers(1, 20))
def test_workers_take_turns_among_their_queues(chance, workers, jobs):
    chance = random.Random(chance.random())
    queues = ["t2v-A14B", "i2v-A14B", "ti2v-5B"]
    world = World({f"w{n}": sorted(chance.sample(queues, chance.randrange(1, 4))) for n in range(workers)})
    served = sorted({queue for turn in world.turns.values() for queue in turn})
    for _ in range(jobs + workers):
        world.submit(seconds(chance), queue=chance.choice(served))
    world.run(lambda: True)  # every worker has a job now, where there is one
    forecast = world.forecast()
    told = {job.id: forecast.start(world.store.get(job.id)) for job in world.waiting()}
    world.run(world.is_over)
    assert told == {job_id: pytest.approx(world.started[job_id], abs=0.01) for job_id in told}


class TestALongLine:
    """Far more jobs than are looked at one by one."""

    @pytest.fixture
    def world(self) -> World:
        world = World({f"w{number}": [Q] for number in range(3)})
        for number in range(3):
            world.submit(30 + 10 * number)
        world.run(lambda: True)
        return world

    @pytest.mark.parametrize("sizes", [[30], [10, 90], [20] * 9 + [300]], ids=str)
    def test_is_estimated_by_the_sizes_in_front_and_the_workers(self, world, sizes):
        chance = random.Random(1)
        jobs = [world.submit(chance.choice(sizes)) for _ in range(500)]
        forecast, begin = world.forecast(), world.time
        told = {job.id: forecast.start(world.store.get(job.id)) for job in jobs[::50]}
        world.run(world.is_over)
        for job_id, start in told.items():
            assert start
            real = world.started[job_id] - begin
            assert isclose(start - begin, real, rel_tol=0.2, abs_tol=90)

    def test_of_small_jobs_before_large_ones_is_not_taken_for_one_of_small_ones(self, world):
        for _ in range(200):
            world.submit(1)
        for _ in range(200):
            world.submit(100)
        last = world.submit(1)
        forecast, begin = world.forecast(), world.time
        start = forecast.start(last)
        world.run(world.is_over)
        assert start
        assert isclose(start - begin, world.started[last.id] - begin, rel_tol=0.1)

    def test_of_a_tenant_at_its_cap_holds_nobody_else_back(self, world):
        world.store.set_caps("greedy", Caps(in_progress=1))
        for _ in range(400):
            world.submit(50, "greedy")
        modest = [world.submit(60, "modest") for _ in range(3)]
        forecast = world.forecast()
        told = {job.id: forecast.start(job) for job in modest}
        world.run(lambda: all(job.id in world.started for job in modest))
        assert told == {job.id: pytest.approx(world.started[job.id], abs=0.01) for job in modest}


class TestAJobThatCameSince:
    @pytest.fixture
    def world(self) -> World:
        world = World({"w0": [Q], "w1": [Q]})
        for length in (50, 70, 10, 10):
            world.submit(length)
        world.run(lambda: True)
        return world

    def starts(self, world: World, jobs: Sequence[Job], forecast: Forecast) -> list[float]:
        return [round((forecast.start(job) or 0) - world.time, 3) for job in jobs]

    def test_is_behind_those_that_are_ahead_of_it(self, world):
        forecast = world.forecast()  # those that wait start at 50 and 60, so both workers are free at 70
        jobs = [world.submit(10) for _ in range(4)]
        assert self.starts(world, jobs, forecast) == [70, 70, 80, 80]
        assert self.starts(world, [world.submit(10, priority=Priority.HIGH)], forecast) == [50]

    def test_starts_at_once_where_a_worker_finds_only_what_caps_hold_back(self, world):
        world.turns["w2"] = [Q]
        world.store.set_caps("a", Caps(in_progress=2))
        forecast = world.forecast()
        assert self.starts(world, [world.submit(10, "b"), world.submit(10, "c")], forecast)[0] == 0
        assert self.starts(world, [world.submit(10, "a")], forecast) == [70]

    def test_is_never_told_a_time_where_nobody_can_tell(self, world):
        assert World({}).forecast().start(world.submit(1)) is None
        unknown = world.submit(1)
        forecast = world.forecast()
        assert forecast.start(unknown) is not None
        lost = World({"w0": [Q]})
        first, second = (lost.submit(5, steps=1) for _ in range(2))
        lost.store.learned = {}
        lost.run(lambda: True)
        assert (first.id in lost.started, lost.forecast().start(second)) == (True, None)


class TestHowManyMayBeAhead:
    @pytest.mark.parametrize(
        ("within", "ahead"), [(49, 0), (50, 0), (60, 1), (70, 3), (79, 3), (80, 5), (1000, 189)]
    )
    def test_counts_what_starts_in_time(self, within, ahead):
        world = World({"w0": [Q], "w1": [Q]})
        for length in (50, 70, 10, 10):
            world.submit(length)
        world.run(lambda: True)
        assert world.forecast().ahead_within(Q, within) == ahead

    def test_is_no_condition_where_nobody_can_tell(self):
        world = World({"w0": [Q]})
        assert world.forecast().ahead_within(Q, 10) is None
        assert World({}).forecast().ahead_within(Q, 10) is None
        world.submit(5)
        world.store.learned = {}
        assert world.forecast().ahead_within(Q, 10) is None

    def test_is_no_condition_where_a_worker_is_free_for_whoever_comes(self):
        world = World({"w0": [Q], "w1": [Q]})
        world.store.set_caps("a", Caps(in_progress=1))
        for _ in range(500):
            world.submit(10)
        world.run(lambda: True)
        ahead = world.forecast().ahead_within(Q, 1)
        assert ahead is not None
        assert ahead >= 499


def test_an_average_stands_in_for_what_is_not_known_of_a_kind():
    world = World({"w0": [Q]})
    world.submit(5)
    waiting = world.submit(5)
    world.store.learned = {ANY_KIND: Pace(0, 40)}
    world.run(lambda: True)
    assert world.forecast().start(waiting) == world.time + 40
