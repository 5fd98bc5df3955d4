"""Two workers, a rescuer and a client in any order: the Redis store and the reference never disagree."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from redis import Redis

from jobs.errors import JobNotFoundError, JobsError
from jobs.policy import Caps, Policy
from jobs.state import (
    TRANSITIONS,
    Event,
    IdempotencyKey,
    Job,
    JobError,
    JobFilter,
    JobState,
    Lease,
    NewJob,
    Note,
    Priority,
    Progress,
)
from jobs.store import JobStore
from jobs.store_memory import MemoryJobStore
from jobs.store_redis import RedisJobStore, connect

POLICY = Policy(lease_seconds=30, max_attempts=3, retention_seconds=200)
IDS = [f"job_{number}" for number in range(4)]
EDGES = {(t.source, t.target) for t in TRANSITIONS}

jobs = st.sampled_from(IDS)
keys = st.sampled_from([("k", "same", "t1"), ("k", "other", "t1"), ("k", "same", "t2")])
limits = st.sampled_from([None, 1, 2])
workers = st.sampled_from(["w1", "w2"])
whose = st.sampled_from([*["holder"] * 3, "other worker", "older attempt", "of any job"])
ends = st.sampled_from(
    [
        lambda store, lease: store.succeed(lease, {"by": lease.worker}),
        lambda store, lease: store.retry(lease, JobError("oom", "No memory.")),
        lambda store, lease: store.retry(lease, JobError("oom", "No memory."), 15),
        lambda store, lease: store.fail(lease, JobError("bad", "No good.")),
        lambda store, lease: store.release(lease),
    ]
)


class Machine(RuleBasedStateMachine):
    """Each rule does the same to both stores and compares what they answer."""

    redis_url = ""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1_763_000_000.0
        with Redis.from_url(self.redis_url) as client:
            client.flushall()
        self.redis = connect(self.redis_url)
        self.reference: JobStore = MemoryJobStore(POLICY, lambda: self.now)
        self.store: JobStore = RedisJobStore(self.redis, POLICY, clock=lambda: self.now)
        self.final: dict[str, JobState] = {}
        self.most: dict[str, int | None] = {}
        self.running: dict[str, int] = {}

    def teardown(self) -> None:
        self.redis.close()

    def both(self, act: Callable[[JobStore], Any]) -> Any:
        answers = [self.outcome(act, store) for store in (self.reference, self.store)]
        assert answers[0] == answers[1]
        return answers[0]

    def lease(self, job_id: str, whose: str) -> Lease:
        """The lease that a process with this knowledge would use, held or not; most are of running jobs."""
        running = [job.id for job in self.reference.find(JobFilter(state=JobState.IN_PROGRESS))]
        if running and whose != "of any job":
            job_id = running[IDS.index(job_id) % len(running)]
        try:
            job = self.reference.get(job_id)
        except JobNotFoundError:
            return Lease(job_id, "w1", 1)
        worker = job.worker or "w1"
        if whose == "other worker":
            worker = "w2" if worker == "w1" else "w1"
        return Lease(job_id, worker, job.attempt - (whose == "older attempt"))

    @contextmanager
    def left_alone_by_others(self, lease: Lease) -> Iterator[None]:
        """Only who holds a lease may change its job, or add to its log."""
        before = self.known(lease.job_id)
        yield
        held = before and before[0].state is JobState.IN_PROGRESS and before[0].lease == lease
        assert held or self.known(lease.job_id) == before

    def known(self, job_id: str) -> tuple[Job, list[Event]] | None:
        try:
            return self.reference.get(job_id), self.reference.events(job_id)
        except JobNotFoundError:
            return None

    def queued(self) -> list[Job]:
        return self.reference.find(JobFilter(state=JobState.QUEUED))

    @staticmethod
    def outcome(act: Callable[[JobStore], Any], store: JobStore) -> Any:
        try:
            return act(store)
        except JobsError as error:
            return type(error), str(error)

    @rule(
        some=st.sets(jobs, min_size=1),
        expires_in=st.sampled_from([None, 20]),
        tenant=st.sampled_from(["a", "a", "b"]),
        priority=st.sampled_from(Priority),
        timeout=st.sampled_from([None, 15]),
        pace_key=st.sampled_from(["", "kind"]),
        digest=st.sampled_from(["", "d"]),
        reuse=st.booleans(),
    )
    def submit(self, some, **wanted):
        for job in sorted(some):
            self.hand_in(job, **wanted)

    @rule(job=jobs, digest=st.sampled_from(["", "d"]), key=keys)
    def submit_by_a_key_of_the_clients_own(self, job, digest, key):
        self.hand_in(job, tenant="a", digest=digest, idempotency=IdempotencyKey(*key))

    def hand_in(self, job: str, **wanted: Any) -> None:
        new = NewJob(id=job, queue="q", spec={"n": job}, steps=9, **wanted)
        self.both(lambda store: store.submit(new))

    @initialize(in_progress=limits)
    def begin_with_a_job_that_runs_and_perhaps_a_cap(self, in_progress):
        self.hand_in(IDS[0], tenant="a")
        self.claim("w1", None, 1)
        self.cap("a", None, in_progress)

    @rule(worker=workers, nonce=st.sampled_from([None, "x", "y"]), times=st.integers(1, 3))
    def claim(self, worker, nonce, times):
        for _ in range(times):
            claimable = self.reference.claimable("q")
            hasty = any(job.queue_deadline for job in self.queued())
            early = {job.id for job in self.queued() if job.not_before and job.not_before > self.now}
            claimed = self.both(lambda store: store.claim("q", worker, nonce))
            assert claimed or not claimable or hasty
            assert not claimed or claimed.id not in early

    @rule(tenant=st.sampled_from(["a", "b"]), queued=limits, in_progress=limits)
    def cap(self, tenant, queued, in_progress):
        self.both(lambda store: store.set_caps(tenant, Caps(queued=queued, in_progress=in_progress)))
        self.most[tenant] = in_progress

    @rule(token=st.sampled_from(["t1", "t2"]), reserved=st.booleans())
    def keep_a_key(self, token, reserved):
        self.both(lambda store: (store.reserve if reserved else store.unreserve)("a", "k", token))

    @rule(
        job=jobs,
        whose=whose,
        step=st.integers(0, 9),
        stage=st.sampled_from(["loading", "denoising"]),
        preview=st.sampled_from([0, 0, 2]),
    )
    def heartbeat(self, job, whose, step, stage, preview):
        lease = self.lease(job, whose)
        with self.left_alone_by_others(lease):
            self.both(lambda store: store.heartbeat(lease, Progress(stage, step, 9, preview)))

    @rule(job=jobs, whose=whose, end=ends, times=st.sampled_from([1, 1, 2]))
    def end_an_attempt(self, job, whose, end, times):
        lease = self.lease(job, whose)
        for _ in range(times):
            with self.left_alone_by_others(lease):
                self.both(lambda store: end(store, lease))

    @rule(job=jobs, level=st.sampled_from(["info", "warning"]))
    def annotate(self, job, level):
        note = Note(self.now - 1, level, 1, "told")
        self.both(lambda store: store.annotate(job, [note], self.now))

    @rule(job=jobs)
    def cancel_what_runs(self, job):
        lease = self.lease(job, "holder")
        self.both(lambda store: store.cancel(lease.job_id))

    @rule(job=jobs)
    def cancel(self, job):
        self.both(lambda store: store.cancel(job))

    @rule(job=jobs)
    def remove(self, job):
        if self.both(lambda store: store.remove(job)) is None:
            self.final.pop(job, None)

    @rule(seconds=st.sampled_from([1, 10, 31, 201]))
    def time_passes(self, seconds):
        self.now += seconds

    @rule()
    def sweep(self):
        self.both(lambda store: store.announce("w1", ["q"]))
        self.both(lambda store: store.rescue())
        self.both(lambda store: store.bury())
        self.both(lambda store: store.expire())
        self.both(lambda store: store.promote(1))
        self.both(lambda store: store.outdated())

    @invariant()
    def records_logs_and_counts_agree(self):
        self.both(lambda store: store.find(JobFilter(tenant="a")))
        for job in self.both(lambda store: store.find(JobFilter())):
            self.both(partial(_log, job.id))
            self.both(partial(_notes, job.id))
        self.both(lambda store: [store.count(JobFilter(state=state)) for state in JobState])
        self.both(lambda store: (store.claimable("q"), store.workers()))
        self.both(lambda store: replace(store.outlook("q"), paces={}))
        ours, theirs = (store.paces("q") for store in (self.reference, self.store))
        assert ours.keys() == theirs.keys()
        for kind, pace in ours.items():  # Redis keeps averages to the microsecond
            assert theirs[kind].per_step == pytest.approx(pace.per_step, abs=1e-4)
            assert theirs[kind].rest == pytest.approx(pace.rest, abs=1e-4)

    @invariant()
    def a_tenant_has_no_more_in_progress_than_when_it_was_capped(self):
        for tenant in ("a", "b"):
            running = self.reference.count(JobFilter(tenant=tenant, state=JobState.IN_PROGRESS))
            assert running <= max(self.running.get(tenant, 0), self.most.get(tenant) or running)
            self.running[tenant] = running

    @invariant()
    def the_queue_is_in_order_without_gaps(self):
        line = [job for job in self.queued() if job.not_before is None]
        line.sort(key=lambda job: (list(Priority).index(job.priority), job.created_at, job.id))
        assert [job.ahead for job in line] == [self.most_ahead(job, line) for job in line]

    def most_ahead(self, job: Job, line: list[Job]) -> int:
        """How many may start before it: those in front, and all of other tenants while its cap holds it."""
        own = [other for other in line if other.tenant == job.tenant]
        running = self.reference.count(JobFilter(tenant=job.tenant, state=JobState.IN_PROGRESS))
        most = self.most.get(job.tenant)
        if most is None or running + own.index(job) < most:
            return line.index(job)
        return len(line) - len(own) + own.index(job)

    @invariant()
    def a_job_waits_after_a_failed_attempt_alone_and_then_stands_in_no_line(self):
        for job in self.reference.find(JobFilter()):
            if job.not_before is not None:
                assert (job.state, job.ahead) == (JobState.QUEUED, None)
                assert job.failures > 0

    @invariant()
    def a_final_state_is_never_left(self):
        for job in self.reference.find(JobFilter()):
            assert self.final.get(job.id, job.state) == job.state
            if job.state.is_final:
                self.final[job.id] = job.state
            assert (job.finished_at is not None) == job.state.is_final
            assert (job.result is not None) == (job.state is JobState.COMPLETED)

    @invariant()
    def a_log_tells_of_drawn_transitions_only_and_attempts_count_up(self):
        for job in self.reference.find(JobFilter()):
            events = self.reference.events(job.id)
            states = [JobState(event.type) for event in events if event.type in set(JobState)]
            assert set(zip([None, *states], states, strict=False)) <= EDGES
            claims = [event.data["attempt"] for event in events if event.data.get("by") == "claim"]
            assert claims == list(range(1, job.attempt + 1))
            assert [event.id for event in events] == sorted({event.id for event in events})


def _log(job_id: str, store: JobStore) -> list[Event]:
    return store.events(job_id)


def _notes(job_id: str, store: JobStore) -> list[Note]:
    return store.notes(job_id)


@pytest.mark.slow
def test_no_order_of_events_makes_the_stores_disagree_or_breaks_an_invariant(redis_url):
    Machine.redis_url = redis_url
    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=50,
            stateful_step_count=50,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
