"""What estimates are made from, and that a store that is away makes it unknown and nothing worse."""

import pytest

from api.load import Load, QueueLoad
from jobs.errors import StoreUnavailableError
from jobs.policy import Policy
from jobs.state import ANY_KIND, Job, JobError, NewJob, Pace
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
    assert [load.of(queue) for queue in QUEUES] == [QueueLoad(2, 0, {ANY_KIND: Pace(0, 25.0)}), QueueLoad(1)]
    assert load.workers() == {"t2v-A14B": 2, "ti2v-5B": 1}
    assert load.of("another") == QueueLoad()


def test_a_worker_that_drains_counts_as_none_and_gives_no_hope():
    store = MemoryJobStore(Policy())
    store.announce("worker-1", QUEUES, QUEUES[1:])
    store.announce("worker-2", QUEUES[:1], [])
    store.submit(NewJob(id="job_1", queue=QUEUES[0], spec={}))
    job = store.claim(QUEUES[0], "worker-2")
    assert job is not None
    store.succeed(job.lease, {})
    load = Load(store, QUEUES)
    assert load.workers() == {"t2v-A14B": 0, "ti2v-5B": 1}
    assert load.next_eta(QUEUES[0]) is None
    store.announce("worker-2", QUEUES[:1])
    again = Load(store, QUEUES)
    assert again.workers() == {"t2v-A14B": 1, "ti2v-5B": 1}
    assert again.next_eta(QUEUES[0]) is not None


class TestEta:
    """Of a queue with one worker whose jobs take 25 seconds."""

    @pytest.fixture
    def clock(self) -> Clock:
        return Clock()

    @pytest.fixture
    def store(self, clock) -> MemoryJobStore:
        store = MemoryJobStore(Policy(lease_seconds=1e6), clock)
        store.announce("w1", QUEUES[:1])
        self.submit(store, "taught")
        self.claim(store)
        clock.time += 25
        store.succeed(store.get("taught").lease, {})
        return store

    def submit(self, store: MemoryJobStore, name: str) -> Job:
        return store.submit(NewJob(id=name, queue=QUEUES[0], spec={}, steps=4))

    def claim(self, store: MemoryJobStore) -> Job:
        job = store.claim(QUEUES[0], "w1")
        assert job
        return job

    def load(self, store: MemoryJobStore, clock: Clock) -> Load:
        return Load(store, QUEUES, clock, fresh_seconds=0)

    def test_of_a_job_that_waits_is_its_turn_and_its_own_run(self, store, clock):
        load, first = self.load(store, clock), self.submit(store, "first")
        assert (load.eta(first), load.next_eta(QUEUES[0])) == (25, 50)
        self.claim(store)
        second = self.submit(store, "second")
        assert (load.eta(second), load.next_eta(QUEUES[0])) == (50, 75)
        clock.time += 10.5
        assert (load.eta(second), load.next_eta(QUEUES[0])) == (40, 64.5)

    def test_of_a_job_that_runs_is_what_is_left_of_it(self, store, clock):
        self.submit(store, "job")
        load, job = self.load(store, clock), self.claim(store)
        clock.time += 10.5
        assert load.eta(job) == 15
        clock.time += 100
        assert load.eta(job) == 0

    def test_of_a_job_that_waits_to_be_tried_again_counts_from_then(self, store, clock):
        self.submit(store, "job")
        job = store.retry(self.claim(store).lease, JobError("device_fault", "It broke."), 60)
        load = self.load(store, clock)
        assert (load.eta(job), load.of(QUEUES[0]).queued) == (85, 1)
        assert load.eta(self.submit(store, "other")) == 25

    def test_goes_by_the_clock_of_the_store(self, store, clock):
        ours = Clock()
        ours.time = clock.time - 77
        self.submit(store, "job")
        job = self.claim(store)
        assert Load(store, QUEUES, ours, fresh_seconds=1000).eta(job) == 25

    def test_is_unknown_without_a_worker_or_a_pace_and_of_what_is_over(self, store, clock):
        load = self.load(store, clock)
        job = self.submit(store, "job")
        store.retire("w1")
        assert (load.eta(job), load.next_eta(QUEUES[0]), load.next_eta(QUEUES[1])) == (None, None, None)
        assert load.eta(store.cancel(job.id)) is None


def test_a_store_that_is_away_makes_the_load_unknown():
    clock = Clock()
    store = AwayStore(Policy(), clock)
    load = Load(store, QUEUES, clock)
    assert load.of(QUEUES[0]) == QueueLoad()
    assert load.eta(store.submit(NewJob(id="job_1", queue=QUEUES[0], spec={}))) is None
    assert load.ahead_within(QUEUES[0], 10) is None
