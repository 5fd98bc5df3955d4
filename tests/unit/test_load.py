"""What estimates are made from, and that a store that is away makes it unknown and nothing worse."""

import pytest

from api.eta import QueueLoad
from api.load import Load
from jobs.errors import StoreUnavailableError
from jobs.policy import Policy
from jobs.state import ANY_KIND, NewJob, Pace
from jobs.store_memory import MemoryJobStore

QUEUES = ("t2v-A14B", "ti2v-5B")


class Clock:
    time = 1000.0

    def __call__(self) -> float:
        return self.time


class AwayStore(MemoryJobStore):
    def workers(self):
        raise StoreUnavailableError("The store does not answer.")


def test_the_load_of_a_queue_is_its_live_workers_and_its_pace():
    clock = Clock()
    store = MemoryJobStore(Policy(), clock)
    store.announce("worker-1", QUEUES)
    store.announce("worker-2", QUEUES[:1])
    store.submit(NewJob(id="job_1", queue=QUEUES[0], spec={}))
    job = store.claim(QUEUES[0], "worker-1")
    assert job is not None
    clock.time += 25
    store.succeed(job.lease, {})
    load = Load(store, QUEUES, clock)
    assert [load.of(queue) for queue in QUEUES] == [QueueLoad(2, {ANY_KIND: Pace(0, 25.0)}), QueueLoad(1)]
    assert load.workers() == {"t2v-A14B": 2, "ti2v-5B": 1}
    assert load.of("another") == QueueLoad()


def test_time_is_told_by_the_clock_of_the_store():
    ours, theirs = Clock(), Clock()
    theirs.time += 77
    load = Load(MemoryJobStore(Policy(), theirs), QUEUES, ours)
    assert load.now() == 1077
    ours.time += 3  # without asking the store again
    assert load.now() == pytest.approx(1080)


def test_a_store_that_is_away_makes_the_load_unknown():
    clock = Clock()
    load = Load(AwayStore(Policy(), clock), QUEUES, clock)
    assert load.of(QUEUES[0]) == QueueLoad()
    assert load.now() == 1000
