"""One suite for every JobStore: what the verbs promise, whoever keeps the records."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.errors import (
    GpuTimeSpentError,
    InvalidTransitionError,
    JobNotFoundError,
    KeyReservedError,
    KeyUsedError,
    LeaseLostError,
    QueueFullError,
    TooManyJobsError,
    WaitTooLongError,
)
from jobs.line import Place
from jobs.outlook import FIRST, SAMPLES, TENANTS, Outlook, RunningJob, Size, WaitingJob
from jobs.policy import Caps, Policy
from jobs.state import (
    ANY_KIND,
    FINAL_STATES,
    NOTES_KEPT,
    Admission,
    Attempt,
    IdempotencyKey,
    Job,
    JobError,
    JobFilter,
    JobState,
    Lease,
    NewJob,
    Note,
    Pace,
    Priority,
    Progress,
)
from jobs.store import JobStore
from jobs.store_memory import MemoryJobStore
from jobs.store_redis import RedisJobStore, connect

POLICY = Policy(lease_seconds=30, max_attempts=3, retention_seconds=1000, worker_silence_seconds=60)
QUEUE = "t2v-A14B"
DAY = 24 * 3600
OOM = JobError("out_of_memory", "The GPU ran out of memory.")


class Clock:
    """A clock that stands still until a test moves it."""

    def __init__(self) -> None:
        self.time = 1_763_000_000.0

    def __call__(self) -> float:
        return self.time

    def pass_seconds(self, seconds: float) -> None:
        self.time += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=["memory", "redis"])
def store(request, clock) -> JobStore:
    if request.param == "memory":
        return MemoryJobStore(POLICY, clock)
    return RedisJobStore(connect(request.getfixturevalue("redis_url")), POLICY, clock=clock)


def new_job(number: int = 1, **changes) -> NewJob:
    named: dict[str, Any] = {"id": f"job_{number:04}", "queue": QUEUE, "steps": 20}
    return NewJob(**({"spec": {"prompt": "a cat 🐈"}} | named | changes))


def submitted(store: JobStore, number: int = 1, **changes) -> Job:
    return store.submit(new_job(number, **changes))


def claimed(store: JobStore, number: int = 1, worker: str = "w1", **changes) -> Job:
    new = submitted(store, number, **changes)
    job = store.claim(new.queue, worker)
    assert job is not None
    assert job.id == new.id
    return job


def ended(store: JobStore, state: JobState, number: int, **changes) -> Job:
    if state is JobState.EXPIRED:
        submitted(store, number, expires_in=0, **changes)
        return store.expire()[0]
    job = claimed(store, number, **changes)
    if state is JobState.COMPLETED:
        return store.succeed(job.lease, {"artifact": "a.mp4"})
    if state is JobState.FAILED:
        return store.fail(job.lease, OOM)
    store.cancel(job.id)
    return store.release(job.lease)


def kept_seconds(job: Job) -> float:
    assert job.expires_at
    assert job.finished_at
    return job.expires_at - job.finished_at


def log(store: JobStore, job_id: str) -> list[str]:
    return [event.type for event in store.events(job_id)]


class TestSubmit:
    def test_keeps_what_the_job_came_from(self, store):
        trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
        job = submitted(store, request_id="r-1", traceparent=trace)
        assert (store.get(job.id).request_id, store.get(job.id).traceparent) == ("r-1", trace)

    def test_refuses_an_origin_that_is_told_too_long(self):
        with pytest.raises(ValueError, match="at most 64"):
            new_job(request_id="r" * 65)

    def test_writes_a_queued_job_with_all_that_was_handed_in(self, store, clock):
        job = submitted(store, tenant="acme", expires_in=60)
        assert job == store.get(job.id)
        assert (job.state, job.queue, job.tenant, job.spec) == (
            "queued",
            "t2v-A14B",
            "acme",
            {"prompt": "a cat 🐈"},
        )
        assert (job.created_at, job.queue_deadline) == (clock.time, clock.time + 60)
        assert (job.attempt, job.failures, job.worker, job.finished_at, job.result) == (
            0,
            0,
            None,
            None,
            None,
        )
        assert job.progress == Progress("", 0, 20)

    def test_of_a_known_id_changes_nothing(self, store):
        first = claimed(store)
        assert store.submit(new_job(spec={"prompt": "another"})) == first
        assert log(store, first.id) == ["queued", "in_progress"]

    @pytest.mark.parametrize("name", ["", "a:b", "*", "a b", "é", "x" * 65, "a\n"])
    @pytest.mark.parametrize("field", ["id", "queue", "tenant"])
    def test_refuses_names_that_could_collide_with_other_keys(self, field, name):
        with pytest.raises(ValueError, match="letters"):
            new_job(**{field: name})


class TestSubmitAll:
    def test_writes_every_job_in_the_order_in_which_they_are_taken(self, store):
        submitted(store, 9)
        jobs = store.submit_all([new_job(number) for number in (1, 2, 3)])
        assert [(job.id, job.state, job.ahead) for job in jobs] == [
            ("job_0001", "queued", 0),
            ("job_0002", "queued", 1),
            ("job_0003", "queued", 2),
        ]
        assert jobs == [store.get(job.id) for job in jobs]
        assert taken(store) == [1, 2, 3, 9]

    def test_of_known_jobs_changes_nothing(self, store):
        news = [new_job(number) for number in (1, 2)]
        store.submit_all(news)
        first = store.claim(QUEUE, "w1")
        assert store.submit_all(news) == [first, store.get("job_0002")]
        assert log(store, first.id) == ["queued", "in_progress"]

    def test_by_a_key_that_was_used_gives_the_job_it_was_used_for_alone(self, store):
        key = IdempotencyKey("k", "print", "token")
        first, _ = store.submit_all([new_job(1, idempotency=key), new_job(2)])
        assert store.submit_all([new_job(3, idempotency=key), new_job(4)]) == [first]
        assert store.count(JobFilter()) == 2

    @pytest.mark.parametrize(
        ("admission", "refusal"),
        [
            (Admission(), TooManyJobsError),
            (Admission(queue_length=3), QueueFullError),
            (Admission(ahead=2), WaitTooLongError),
        ],
    )
    def test_writes_none_where_there_is_no_room_for_all(self, store, admission, refusal):
        if refusal is TooManyJobsError:
            store.set_caps("default", Caps(queued=3))
        submitted(store, 1)
        with pytest.raises(refusal):
            store.submit_all([new_job(number, admission=admission) for number in (2, 3, 4)])
        assert store.count(JobFilter()) == 1
        jobs = store.submit_all([new_job(number, admission=admission) for number in (2, 3)])
        assert [job.ahead for job in jobs] == [1, 2]


class TestClaim:
    def test_grants_a_lease_and_counts_the_attempt(self, store, clock):
        submitted(store)
        clock.pass_seconds(5)
        job = store.claim(QUEUE, "w1")
        assert job == store.get("job_0001")
        assert (job.state, job.worker, job.attempt) == ("in_progress", "w1", 1)
        assert (job.started_at, job.lease_expires_at) == (clock.time, clock.time + 30)

    def test_of_an_empty_queue_gives_nothing(self, store):
        submitted(store, queue="ti2v-5B")
        assert store.claim(QUEUE, "w1") is None
        assert (store.claimable(QUEUE), store.claimable("ti2v-5B")) == (0, 1)

    def test_is_refused_while_somebody_holds_the_job(self, store):
        held = claimed(store)
        assert store.claim(QUEUE, "w1") is None
        assert store.claim(QUEUE, "w2") is None
        assert store.get(held.id) == held

    @pytest.mark.parametrize("state", sorted(FINAL_STATES))
    def test_is_refused_once_the_job_is_final(self, store, state):
        job = ended(store, state, 1)
        assert store.claim(QUEUE, "w2") is None
        assert store.get(job.id) == job

    def test_expires_what_waited_too_long_and_takes_the_next(self, store, clock):
        for number, expires_in in ((1, 60), (2, 60), (3, None)):
            submitted(store, number, expires_in=expires_in, tenant=f"t{number % 2}")
        clock.pass_seconds(60)
        assert store.claim(QUEUE, "w1").id == "job_0003"
        assert [store.get(f"job_000{number}").state for number in (1, 2)] == ["expired", "expired"]

    def test_finds_the_job_behind_hundreds_that_may_not_start(self, store, clock):
        for number in range(1, 251):
            tenant = f"t{number}"
            if number % 2:
                store.set_caps(tenant, Caps(in_progress=0))
            submitted(store, number, tenant=tenant, expires_in=None if number % 2 else 60)
        clock.pass_seconds(60)
        assert store.claim(QUEUE, "w1") is None
        submitted(store, 251, tenant="free")
        assert store.claim(QUEUE, "w1").id == "job_0251"
        assert store.count(JobFilter(state=JobState.EXPIRED)) == 125

    def test_leaves_what_a_cap_holds_back_to_the_sweep_that_expires_it(self, store, clock):
        store.set_caps("acme", Caps(in_progress=1))
        claimed(store, 1, tenant="acme")
        submitted(store, 2, tenant="acme", expires_in=60)
        clock.pass_seconds(60)
        assert store.claim(QUEUE, "w2") is None
        assert store.get("job_0002").state == "queued"
        assert [job.id for job in store.expire()] == ["job_0002"]

    def test_ignores_the_deadline_of_a_job_that_already_ran(self, store, clock):
        job = claimed(store, expires_in=60)
        store.release(job.lease)
        clock.pass_seconds(61)
        assert store.expire() == []
        assert store.claim(QUEUE, "w2") is not None

    def test_that_is_repeated_by_its_nonce_gives_the_same_job(self, store):
        for number in (1, 2, 3):
            submitted(store, number)
        first = store.claim(QUEUE, "w1", "once")
        assert store.claim(QUEUE, "w1", "once") == first
        assert store.claim(QUEUE, "w2", "once").id == "job_0002"
        assert store.claim(QUEUE, "w1", "twice").id == "job_0003"
        assert log(store, first.id) == ["queued", "in_progress"]

    def test_that_is_repeated_after_the_lease_was_lost_takes_the_next_job(self, store, clock):
        submitted(store)
        store.claim(QUEUE, "w1", "once")
        clock.pass_seconds(31)
        store.rescue()
        assert store.claim(QUEUE, "w1", "once").attempt == 2


def taken(store: JobStore) -> list[int]:
    """The numbers of the jobs in the order that workers take them."""
    order: list[int] = []
    while job := store.claim(QUEUE, "w1"):
        order.append(int(job.id[-4:]))
    return order


class TestOrder:
    def test_is_by_class_and_within_a_class_by_age(self, store, clock):
        for number, priority in enumerate(("low", "normal", "high", "low", "normal", "high")):
            submitted(store, number, priority=Priority(priority), tenant=f"t{number % 2}")
            clock.pass_seconds(1)
        places = [store.get(f"job_{number:04}").ahead for number in range(6)]
        assert places == [4, 2, 0, 5, 3, 1]
        assert taken(store) == [2, 5, 1, 4, 0, 3]

    def test_within_one_millisecond_is_that_of_the_ids(self, store):
        for number in (3, 1, 2):
            submitted(store, number, tenant=f"t{number}")
        assert [store.get(f"job_{number:04}").ahead for number in (1, 2, 3)] == [0, 1, 2]
        assert taken(store) == [1, 2, 3]

    @pytest.mark.parametrize("how", ["release", "retry", "rescue"])
    def test_gives_a_job_that_comes_back_its_old_place(self, store, clock, how):
        for number in (1, 2, 3):
            submitted(store, number)
            clock.pass_seconds(1)
        first = store.claim(QUEUE, "w1")
        if how == "rescue":
            clock.pass_seconds(31)
            store.rescue()
        else:
            LEASE_VERBS[how](store, first.lease)
        assert store.get(first.id).ahead == 0
        assert taken(store) == [1, 2, 3]

    def test_closes_the_gap_of_a_job_that_is_cancelled(self, store):
        for number in range(5):
            submitted(store, number, tenant=f"t{number % 2}")
        for number in (0, 3):
            store.cancel(f"job_{number:04}")
        assert store.claimable(QUEUE) == 3
        assert [store.get(f"job_{number:04}").ahead for number in (1, 2, 4)] == [0, 1, 2]
        assert taken(store) == [1, 2, 4]


class TestHeartbeat:
    def test_renews_the_lease(self, store, clock):
        job = claimed(store)
        clock.pass_seconds(29)
        assert store.heartbeat(job.lease) is False
        clock.pass_seconds(29)
        assert store.rescue() == []
        assert store.get(job.id).lease_expires_at == clock.time + 1

    def test_notes_progress_and_logs_it_once(self, store):
        job = claimed(store)
        for step in (1, 1, 2):
            store.heartbeat(job.lease, Progress("denoising", step, 20))
        store.heartbeat(job.lease)
        assert store.get(job.id).progress == Progress("denoising", 2, 20)
        steps = [event.data for event in store.events(job.id) if event.type == "progress"]
        assert steps == [{"stage": "denoising", "step": step, "steps": 20} for step in (1, 2)]

    def test_tells_of_a_requested_cancel(self, store):
        job = claimed(store)
        store.cancel(job.id)
        assert store.heartbeat(job.lease) is True


LEASE_VERBS = {
    "heartbeat": lambda store, lease: store.heartbeat(lease),
    "succeed": lambda store, lease: store.succeed(lease, {"artifact": "late.mp4"}),
    "retry": lambda store, lease: store.retry(lease, OOM),
    "release": lambda store, lease: store.release(lease),
    "fail": lambda store, lease: store.fail(lease, OOM),
}


class TestFence:
    @pytest.mark.parametrize("verb", LEASE_VERBS)
    def test_a_worker_that_lost_its_lease_changes_nothing(self, store, clock, verb):
        old = claimed(store).lease
        clock.pass_seconds(31)
        store.rescue()
        new = store.claim(QUEUE, "w2")
        with pytest.raises(LeaseLostError):
            LEASE_VERBS[verb](store, old)
        assert store.get(old.job_id) == new

    @pytest.mark.parametrize("verb", LEASE_VERBS)
    def test_the_same_worker_on_an_older_attempt_changes_nothing(self, store, verb):
        old = claimed(store).lease
        store.release(old)
        new = store.claim(QUEUE, "w1")
        with pytest.raises(LeaseLostError):
            LEASE_VERBS[verb](store, old)
        assert store.get(old.job_id) == new

    @pytest.mark.parametrize("verb", LEASE_VERBS)
    def test_another_worker_cannot_use_the_attempt(self, store, verb):
        job = claimed(store)
        with pytest.raises(LeaseLostError):
            LEASE_VERBS[verb](store, Lease(job.id, "w2", 1))
        assert store.get(job.id) == job

    @pytest.mark.parametrize("verb", ["release", "retry"])
    def test_who_ended_an_attempt_by_a_verb_cannot_use_the_next_one_by_it(self, store, verb):
        first = claimed(store)
        LEASE_VERBS[verb](store, first.lease)
        again = store.claim(QUEUE, "w2")
        with pytest.raises(LeaseLostError):
            LEASE_VERBS[verb](store, Lease(first.id, "w1", 2))
        assert store.get(first.id) == again

    @pytest.mark.parametrize("verb", LEASE_VERBS)
    @pytest.mark.parametrize("state", sorted(FINAL_STATES - {JobState.EXPIRED}))
    def test_a_final_state_is_written_once(self, store, state, verb):
        job = ended(store, state, 1)
        with pytest.raises(LeaseLostError):
            LEASE_VERBS[verb](store, Lease(job.id, "w9", 1))
        assert store.get(job.id) == job

    @pytest.mark.parametrize("verb", LEASE_VERBS)
    def test_of_a_job_that_is_gone_says_so(self, store, verb):
        with pytest.raises(JobNotFoundError):
            LEASE_VERBS[verb](store, Lease("job_9999", "w1", 1))

    @pytest.mark.parametrize("verb", sorted(LEASE_VERBS.keys() - {"heartbeat"}))
    def test_a_verb_whose_answer_got_lost_may_be_repeated(self, store, verb):
        lease = claimed(store).lease
        first = LEASE_VERBS[verb](store, lease)
        events = log(store, lease.job_id)
        assert LEASE_VERBS[verb](store, lease) == first
        assert log(store, lease.job_id) == events


class TestEnd:
    def test_succeed_publishes_the_result_and_starts_the_retention(self, store, clock):
        job = claimed(store)
        clock.pass_seconds(8)
        done = store.succeed(job.lease, {"artifact": "job_0001/1.mp4", "size": 7})
        assert done == store.get(job.id)
        assert (done.state, done.result) == ("completed", {"artifact": "job_0001/1.mp4", "size": 7})
        assert (done.finished_at, done.expires_at) == (clock.time, clock.time + 1000)
        assert (done.error, done.lease_expires_at, done.worker) == (None, None, "w1")

    def test_succeed_after_a_failed_attempt_forgets_its_error(self, store):
        job = claimed(store)
        assert store.retry(job.lease, OOM).error == OOM
        job = store.claim(QUEUE, "w2")
        assert store.succeed(job.lease, {}).error is None

    def test_fail_keeps_the_error_and_is_final_at_once(self, store):
        failed = store.fail(claimed(store).lease, OOM)
        assert (failed.state, failed.error, failed.result) == ("failed", OOM, None)

    def test_retry_queues_the_job_until_its_attempts_are_used_up(self, store):
        submitted(store)
        for attempt in (1, 2):
            job = store.retry(store.claim(QUEUE, "w1").lease, OOM)
            assert (job.state, job.failures, job.worker, job.started_at) == ("queued", attempt, None, None)
        job = store.retry(store.claim(QUEUE, "w1").lease, OOM)
        assert (job.state, job.failures, job.attempt, job.error) == ("failed", 3, 3, OOM)

    def test_release_costs_no_attempt(self, store):
        submitted(store)
        for _ in range(5):
            job = store.release(store.claim(QUEUE, "w1").lease)
        assert (job.state, job.failures, job.attempt) == ("queued", 0, 5)

    def test_the_log_keeps_the_transitions_and_their_causes_but_not_the_progress(self, store):
        job = claimed(store)
        store.heartbeat(job.lease, Progress("denoising", 1, 20))
        store.retry(job.lease, OOM)
        store.succeed(store.claim(QUEUE, "w2").lease, {})
        events = store.events(job.id)
        assert [event.type for event in events] == [
            "queued",
            "in_progress",
            "queued",
            "in_progress",
            "completed",
        ]
        assert [event.id for event in events] == [1, 2, 4, 5, 6]
        assert events[2].data == {
            "by": "retry",
            "attempt": 1,
            "worker": "w1",
            "error": {"code": OOM.code, "message": OOM.message},
        }

    def test_events_can_be_read_from_a_known_one_on(self, store):
        job = claimed(store)
        assert [event.id for event in store.events(job.id, after=1)] == [2]
        assert store.events(job.id, after=2) == []
        with pytest.raises(JobNotFoundError):
            store.events("job_9999")


class TestDelay:
    """A job that is tried again after a while."""

    @pytest.fixture
    def delayed(self, store) -> Job:
        job: Job = store.retry(claimed(store).lease, OOM, 20)
        return job

    def test_keeps_a_job_out_of_line_for_so_long(self, store, clock, delayed):
        assert delayed == store.get(delayed.id)
        assert (delayed.state, delayed.not_before, delayed.ahead) == ("queued", clock.time + 20, None)
        clock.pass_seconds(19.999)
        assert (store.promote(), store.claimable(QUEUE), store.claim(QUEUE, "w1")) == ([], 0, None)
        clock.pass_seconds(0.001)
        job = store.claim(QUEUE, "w1")
        assert (job.id, job.attempt, job.not_before) == (delayed.id, 2, None)

    def test_lets_others_go_first_and_then_gives_the_old_place_back(self, store, clock, delayed):
        for number in (2, 3):
            submitted(store, number)
        assert [store.get(f"job_000{number}").ahead for number in (2, 3)] == [0, 1]
        assert store.claim(QUEUE, "w1").id == "job_0002"
        clock.pass_seconds(20)
        (back,) = store.promote()
        assert (back.id, back.not_before, back.ahead) == (delayed.id, None, 0)
        assert (store.get("job_0003").ahead, store.claimable(QUEUE)) == (1, 2)
        assert store.promote() == []
        assert log(store, delayed.id) == ["queued", "in_progress", "queued"]

    def test_may_be_cancelled_meanwhile(self, store, clock, delayed):
        cancelled = store.cancel(delayed.id)
        assert (cancelled.state, cancelled.not_before) == ("cancelled", None)
        clock.pass_seconds(20)
        assert (store.promote(), store.claim(QUEUE, "w1")) == ([], None)

    def test_has_no_deadline_left_to_miss(self, store, clock):
        delayed = store.retry(claimed(store, expires_in=10).lease, OOM, 20)
        clock.pass_seconds(20)
        assert store.expire() == []
        assert store.claim(QUEUE, "w1").id == delayed.id

    def test_counts_as_queued(self, store, delayed):
        assert store.count(JobFilter(state=JobState.QUEUED)) == 1
        store.set_caps("default", Caps(queued=1))
        with pytest.raises(TooManyJobsError):
            submitted(store, 2)

    def test_is_none_where_no_attempt_follows(self, store, clock):
        submitted(store)
        for _ in range(3):
            job = store.retry(store.claim(QUEUE, "w1").lease, OOM, 5)
            clock.pass_seconds(5)
        assert (job.state, job.not_before) == ("failed", None)
        cancelled = claimed(store, 2)
        store.cancel(cancelled.id)
        job = store.retry(cancelled.lease, OOM, 5)
        assert (job.state, job.not_before, job.error) == ("cancelled", None, None)
        assert job.attempts[-1].error == OOM
        clock.pass_seconds(5)
        assert store.promote() == []

    def test_of_a_tenant_at_its_cap_ends_in_line(self, store, clock, delayed):
        store.set_caps("default", Caps(in_progress=1))
        claimed(store, 2)
        clock.pass_seconds(20)
        assert store.claim(QUEUE, "w2") is None
        assert (store.get(delayed.id).ahead, store.claimable(QUEUE)) == (0, 0)

    def test_promote_takes_no_more_than_its_limit_and_the_longest_due_first(self, store, clock):
        for number, delay in ((1, 30), (2, 10), (3, 20)):
            store.retry(claimed(store, number).lease, OOM, delay)
        clock.pass_seconds(30)
        assert [[job.id for job in store.promote(limit=2)] for _ in range(3)] == [
            ["job_0002", "job_0003"],
            ["job_0001"],
            [],
        ]

    def test_repeated_changes_nothing(self, store, clock, delayed):
        clock.pass_seconds(1)
        assert store.retry(Lease(delayed.id, "w1", 1), OOM, 20) == delayed


class TestNotes:
    def test_are_kept_with_their_job_in_order_by_the_clock_of_the_store(self, store, clock):
        job = claimed(store)
        behind = clock.time - 100  # another machine's clock
        store.annotate(
            job.id, [Note(behind - 5, "info", 1, "Loading 🐈"), Note(behind, "warning", 1, "b")], behind
        )
        clock.pass_seconds(1)
        store.annotate(job.id, [Note(7, "info", 1, "c")], 7.25)
        assert store.notes(job.id) == [
            Note(clock.time - 6, "info", 1, "Loading 🐈"),
            Note(clock.time - 1, "warning", 1, "b"),
            Note(clock.time - 0.25, "info", 1, "c"),
        ]

    def test_may_come_late_and_from_an_attempt_that_was_lost(self, store, clock):
        job = claimed(store)
        clock.pass_seconds(31)
        store.rescue()
        store.annotate(job.id, [Note(1, "info", 1, "late")], 1)
        assert [note.text for note in store.notes(job.id)] == ["late"]

    def test_are_kept_up_to_a_number_the_last_of_them(self, store):
        job = claimed(store)
        for number in range(NOTES_KEPT + 3):
            store.annotate(job.id, [Note(1, "info", 1, str(number))], 1)
        assert [note.text for note in store.notes(job.id)] == [str(n) for n in range(3, NOTES_KEPT + 3)]

    @pytest.mark.parametrize("state", [JobState.FAILED, JobState.CANCELLED])
    def test_outlive_the_job_and_go_with_its_record(self, store, state):
        job_id = ended(store, state, 1).id
        store.annotate(job_id, [Note(1, "info", 1, "a")], 1)
        assert len(store.notes(job_id)) == 1
        store.remove(job_id)
        submitted(store)
        assert store.notes(job_id) == []

    def test_of_what_went_well_are_not_kept_of_a_completed_job(self, store):
        job = claimed(store)
        store.annotate(job.id, [Note(1, "info", 1, "a"), Note(1, "warning", 1, "b")], 1)
        store.succeed(job.lease, {})
        store.annotate(job.id, [Note(1, "info", 1, "c"), Note(1, "error", 1, "d")], 1)
        assert [note.text for note in store.notes(job.id)] == ["b", "d"]

    def test_about_no_job_are_dropped(self, store):
        store.annotate("job_0001", [Note(1, "info", 1, "a")], 1)
        with pytest.raises(JobNotFoundError):
            store.notes("job_0001")
        submitted(store)
        assert store.notes("job_0001") == []


class TestHistory:
    def test_tells_of_all_jobs_of_a_tenant_in_order_but_not_of_progress(self, store):
        submitted(store, 1, tenant="t1")
        submitted(store, 2, tenant="t2")
        submitted(store, 3, tenant="t1")
        job = store.claim("t2v-A14B", "w1")
        store.heartbeat(job.lease, Progress("denoising", 1, 40))
        store.succeed(job.lease, {})
        told = store.history("t1")
        assert [(entry.job_id, entry.event.type, entry.event.id) for entry in told] == [
            ("job_0001", "queued", 1),
            ("job_0003", "queued", 1),
            ("job_0001", "in_progress", 2),
            ("job_0001", "completed", 4),
        ]
        assert store.history_end("t1") == told[-1].cursor
        assert told[-1].event == store.events("job_0001")[-1]

    def test_goes_on_behind_a_cursor_in_pages(self, store):
        for number in range(5):
            submitted(store, number)
        first = store.history("default", limit=2)
        rest = store.history("default", first[-1].cursor)
        assert [entry.job_id[-1] for entry in [*first, *rest]] == ["0", "1", "2", "3", "4"]
        assert store.history("default", rest[-1].cursor) == []

    def test_of_a_removed_job_has_no_events(self, store):
        store.cancel(submitted(store).id)
        store.remove("job_0001")
        assert [(entry.job_id, entry.event) for entry in store.history("default")] == [("job_0001", None)] * 2

    def test_of_an_unknown_tenant_is_empty(self, store):
        assert (store.history("nobody"), store.history_end("nobody")) == ([], "0-0")


class TestCancel:
    def test_ends_a_queued_job_now(self, store, clock):
        job = store.cancel(submitted(store).id)
        assert (job.state, job.cancel_requested_at, job.finished_at) == ("cancelled", clock.time, clock.time)

    def test_asks_the_holder_of_a_running_job(self, store, clock):
        job = claimed(store)
        asked = store.cancel(job.id)
        assert (asked.state, asked.cancel_requested_at) == ("in_progress", clock.time)
        assert log(store, job.id) == ["queued", "in_progress", "cancel_requested"]

    @pytest.mark.parametrize("verb", sorted(LEASE_VERBS.keys() - {"heartbeat"}))
    def test_once_acknowledged_wins_over_every_outcome(self, store, verb):
        job = claimed(store)
        store.cancel(job.id)
        assert LEASE_VERBS[verb](store, job.lease).state == "cancelled"
        assert store.get(job.id).result is None

    def test_wins_when_the_worker_dies(self, store, clock):
        job = claimed(store)
        store.cancel(job.id)
        clock.pass_seconds(31)
        assert [job.state for job in store.rescue()] == ["cancelled"]

    def test_is_idempotent(self, store, clock):
        job = claimed(store)
        asked = store.cancel(job.id)
        clock.pass_seconds(1)
        assert store.cancel(job.id) == asked
        done = store.release(job.lease)
        assert store.cancel(job.id) == done
        assert log(store, job.id) == ["queued", "in_progress", "cancel_requested", "cancelled"]

    @pytest.mark.parametrize("state", [JobState.COMPLETED, JobState.FAILED, JobState.EXPIRED])
    def test_of_a_job_that_ended_otherwise_is_refused(self, store, state):
        job = ended(store, state, 1)
        with pytest.raises(InvalidTransitionError, match=state):
            store.cancel(job.id)

    def test_of_an_unknown_job_says_so(self, store):
        with pytest.raises(JobNotFoundError):
            store.cancel("job_9999")


class TestSweeps:
    def test_rescue_queues_the_jobs_whose_lease_ran_out_and_no_others(self, store, clock):
        lost = claimed(store, 1)
        clock.pass_seconds(15)
        kept = claimed(store, 2)
        clock.pass_seconds(15)
        rescued = store.rescue()
        assert [(job.id, job.state, job.failures) for job in rescued] == [(lost.id, "queued", 1)]
        assert rescued[0].error.code == "worker_lost"
        assert "w1" in rescued[0].error.message
        assert store.get(kept.id) == kept

    def test_rescue_gives_up_on_a_job_that_loses_every_worker(self, store, clock):
        submitted(store)
        for _ in range(3):
            store.claim(QUEUE, "w1")
            clock.pass_seconds(31)
            rescued = store.rescue()
        assert [(job.state, job.attempt) for job in rescued] == [("failed", 3)]
        assert store.rescue() == []

    def test_rescue_takes_no_more_than_its_limit(self, store, clock):
        for number in range(5):
            claimed(store, number)
        clock.pass_seconds(31)
        assert [len(store.rescue(limit=2)) for _ in range(4)] == [2, 2, 1, 0]

    def test_expire_ends_jobs_that_waited_too_long(self, store, clock):
        late = submitted(store, 1, expires_in=10)
        submitted(store, 2, expires_in=20)
        submitted(store, 3)
        clock.pass_seconds(10)
        expired = store.expire()
        assert [(job.id, job.state, job.error.code) for job in expired] == [(late.id, "expired", "expired")]
        assert store.expire() == []

    def test_outdated_names_what_retention_let_go_and_remove_forgets_it(self, store, clock):
        job = ended(store, JobState.COMPLETED, 1)
        clock.pass_seconds(999)
        assert store.outdated() == []
        clock.pass_seconds(1)
        assert store.outdated() == [job.id]
        store.remove(job.id)
        assert store.outdated() == []
        assert store.count(JobFilter()) == 0
        for read in (store.get, store.events, store.remove):
            with pytest.raises(JobNotFoundError):
                read(job.id)

    def test_a_tenant_may_have_a_retention_of_its_own(self, store):
        store.set_retention("acme", 60.5)
        assert store.retentions() == {"acme": 60.5}
        kept = [ended(store, JobState.CANCELLED, n, tenant=t) for n, t in enumerate(("acme", "default"))]
        assert [kept_seconds(job) for job in kept] == [60.5, 1000]
        store.set_retention("acme", None)
        assert store.retentions() == {}
        assert kept_seconds(ended(store, JobState.COMPLETED, 2, tenant="acme")) == 1000

    def test_a_retention_holds_for_jobs_that_were_submitted_before_it_and_end_after(self, store):
        job = claimed(store, tenant="acme")
        store.set_retention("acme", 5)
        assert kept_seconds(store.succeed(job.lease, {})) == 5

    def test_remove_refuses_a_job_that_is_not_final(self, store):
        job = claimed(store)
        with pytest.raises(InvalidTransitionError):
            store.remove(job.id)
        assert store.get(job.id) == job


class TestAttempts:
    def test_of_a_job_that_succeeds_at_once_are_one_without_an_error(self, store, clock):
        assert submitted(store).attempts == ()
        job, began = store.claim(QUEUE, "gpu0@host"), clock.time
        assert job.attempts == (Attempt(1, "gpu0@host", began),)
        clock.pass_seconds(5)
        done = store.succeed(job.lease, {})
        assert done.attempts == store.get(job.id).attempts == (Attempt(1, "gpu0@host", began, clock.time),)

    def test_keep_the_worker_and_the_error_of_each(self, store, clock):
        submitted(store)
        began = clock.time
        store.retry(store.claim(QUEUE, "w1").lease, OOM)
        store.release(store.claim(QUEUE, "w2").lease)
        store.claim(QUEUE, "w3")
        clock.pass_seconds(31)
        (rescued,) = store.rescue()
        failed = store.fail(store.claim(QUEUE, "w4").lease, OOM)
        assert failed.attempts == (
            Attempt(1, "w1", began, began, OOM),
            Attempt(2, "w2", began, began),
            Attempt(3, "w3", began, clock.time, rescued.error),
            Attempt(4, "w4", clock.time, clock.time, OOM),
        )
        assert rescued.attempts == failed.attempts[:3]

    def test_of_a_cancelled_job_do_not_take_the_error_of_the_one_before(self, store):
        submitted(store)
        store.retry(store.claim(QUEUE, "w1").lease, OOM)
        job = store.claim(QUEUE, "w1")
        store.cancel(job.id)
        assert [attempt.error for attempt in store.release(job.lease).attempts] == [OOM, None]

    def test_that_were_used_up_are_all_there_in_the_end(self, store):
        submitted(store)
        for number in (1, 2, 3):
            job = store.retry(store.claim(QUEUE, f"w{number}").lease, JobError("oom", f"No {number}."))
        assert job.state == "failed"
        assert [(a.number, a.worker, a.error.message) for a in job.attempts] == [
            (1, "w1", "No 1."),
            (2, "w2", "No 2."),
            (3, "w3", "No 3."),
        ]


class TestTimeout:
    def test_fails_an_attempt_that_takes_too_long_although_it_is_alive(self, store, clock):
        job = claimed(store, timeout=40)
        assert job.run_deadline == clock.time + 40
        clock.pass_seconds(20)
        store.heartbeat(job.lease)
        assert store.expire() == []
        clock.pass_seconds(20)
        (failed,) = store.expire()
        assert failed == store.get(job.id)
        assert (failed.state, failed.error.code, failed.run_deadline) == ("failed", "timeout", None)
        assert "40 s" in failed.error.message
        with pytest.raises(LeaseLostError):
            store.heartbeat(job.lease)

    def test_begins_anew_with_each_attempt_and_stands_still_in_the_queue(self, store, clock):
        job = claimed(store, timeout=40)
        clock.pass_seconds(35)
        assert store.release(job.lease).run_deadline is None
        clock.pass_seconds(3600)
        assert store.expire() == []
        again = store.claim(QUEUE, "w1")
        clock.pass_seconds(39)
        store.heartbeat(again.lease)
        assert store.expire() == []

    def test_does_not_matter_to_a_job_that_ended(self, store, clock):
        job = claimed(store, timeout=40)
        store.succeed(job.lease, {})
        clock.pass_seconds(41)
        assert store.expire() == []

    def test_yields_to_a_cancel_that_was_acknowledged(self, store, clock):
        job = claimed(store, timeout=40)
        store.cancel(job.id)
        clock.pass_seconds(40)
        assert [job.state for job in store.expire()] == ["cancelled"]


class TestCaps:
    def test_on_jobs_in_progress_pass_over_a_tenant_without_holding_up_others(self, store):
        store.set_caps("a", Caps(in_progress=1))
        for number, tenant in enumerate("aaabb"):
            submitted(store, number, tenant=tenant, priority=Priority.HIGH if tenant == "a" else Priority.LOW)
        first = store.claim(QUEUE, "w1")
        assert store.claimable(QUEUE) == 2
        assert [first.id, *(f"job_{number:04}" for number in taken(store))] == [
            "job_0000",
            "job_0003",
            "job_0004",
        ]
        assert (store.claimable(QUEUE), store.get("job_0001").ahead) == (0, 0)
        store.succeed(first.lease, {})
        assert taken(store) == [1]

    def test_on_jobs_in_progress_count_over_all_queues(self, store):
        store.set_caps("a", Caps(in_progress=2))
        for number in range(4):
            submitted(store, number, tenant="a", queue=f"q{number % 2}")
        assert [store.claimable(queue) for queue in ("q0", "q1")] == [2, 2]
        assert [bool(store.claim(f"q{number % 2}", "w1")) for number in range(4)] == [
            True,
            True,
            False,
            False,
        ]

    def test_on_queued_jobs_refuse_one_too_many_until_one_has_left(self, store):
        store.set_caps("a", Caps(queued=2))
        first = submitted(store, 1, tenant="a")
        submitted(store, 2, tenant="a", queue="ti2v-5B")
        with pytest.raises(TooManyJobsError):
            submitted(store, 3, tenant="a")
        assert submitted(store, 1, tenant="a") == first  # not a new one
        submitted(store, 4, tenant="b")
        store.claim(QUEUE, "w1")
        assert submitted(store, 3, tenant="a").state == "queued"

    def test_never_refuse_a_job_that_comes_back(self, store):
        store.set_caps("a", Caps(queued=1))
        job = claimed(store, 1, tenant="a")
        submitted(store, 2, tenant="a")
        assert store.release(job.lease).state == "queued"

    def test_of_everybody_hold_unless_a_tenant_has_its_own(self, request, clock):
        policy = Policy(caps=Caps(queued=1, in_progress=0))
        redis = connect(request.getfixturevalue("redis_url"))
        for store in (MemoryJobStore(policy, clock), RedisJobStore(redis, policy, clock=clock)):
            store.set_caps("rich", Caps())
            submitted(store, 1)
            with pytest.raises(TooManyJobsError):
                submitted(store, 2)
            for number in (3, 4):
                submitted(store, number, tenant="rich")
            assert taken(store) == [3, 4]
            store.set_caps("rich", None)
            submitted(store, 5, tenant="rich")
            assert taken(store) == []


class TestPosition:
    @pytest.fixture
    def line(self, store) -> list[str]:
        """Two jobs of a tenant that has another one running, and one of somebody else's between them."""
        store.set_caps("acme", Caps(in_progress=1))
        claimed(store, 1, tenant="acme")
        return [submitted(store, n, tenant=t).id for n, t in ((2, "acme"), (3, "other"), (4, "acme"))]

    def positions(self, store, line) -> list[int | None]:
        return [store.get(job_id).ahead for job_id in line]

    def test_of_a_job_that_its_cap_holds_back_lets_everybody_else_pass(self, store, line):
        assert self.positions(store, line) == [1, 1, 2]
        assert submitted(store, 5, tenant="other").ahead == 3
        assert self.positions(store, line) == [2, 1, 3]
        assert submitted(store, 6, tenant="acme").ahead == 4

    def test_is_the_place_in_line_as_far_as_the_cap_has_room(self, store, line):
        store.set_caps("acme", Caps(in_progress=2))
        assert self.positions(store, line) == [0, 1, 2]
        store.set_caps("acme", Caps(in_progress=3))
        assert self.positions(store, line) == [0, 1, 2]
        store.set_caps("acme", None)
        assert [job.ahead for job in store.find(JobFilter(state=JobState.QUEUED))] == [2, 1, 0]

    @settings(max_examples=60, deadline=None)
    @given(
        new=st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(Priority)), min_size=2, max_size=9),
        running=st.integers(0, 4),
        caps=st.fixed_dictionaries({tenant: st.sampled_from([None, 1, 2]) for tenant in "abc"}),
        luck=st.randoms(use_true_random=False),
    )
    def test_never_promises_too_early(self, new, running, caps, luck):
        """Whatever ends when: no more jobs start before one than it was told of."""
        store = MemoryJobStore(POLICY, Clock())
        for tenant, most in caps.items():
            store.set_caps(tenant, Caps(in_progress=most))
        for number, (tenant, priority) in enumerate(new):
            submitted(store, number, tenant=tenant, priority=priority)
        leases = [job.lease for _ in range(running) if (job := store.claim(QUEUE, "w1"))]
        told = {job.id: job.ahead or 0 for job in store.find(JobFilter(state=JobState.QUEUED))}
        started = list[str]()
        while len(started) < len(told):
            if leases and luck.random() < 0.5:
                store.succeed(leases.pop(luck.randrange(len(leases))), {})
            elif job := store.claim(QUEUE, "w1"):
                leases.append(job.lease)
                started.append(job.id)
        assert all(started.index(job_id) <= ahead for job_id, ahead in told.items())


@pytest.mark.slow
def test_a_queue_remembers_the_pace_of_so_many_kinds_and_of_any_job(store, clock):
    for number in range(1010):
        job = claimed(store, number, pace_key=str(number))
        for step in (1, 2):
            clock.pass_seconds(1)
            store.heartbeat(job.lease, Progress("denoising", step, 20))
        store.succeed(job.lease, {})
    paces = store.paces(QUEUE)
    assert 990 <= len(paces) <= 1001
    assert paces[ANY_KIND] == Pace(0, 2)
    assert "1009" in paces


class TestOutlook:
    def test_of_a_queue_that_nothing_was_ever_asked_of_is_empty(self, store):
        assert store.outlook(QUEUE) == Outlook()

    def test_tells_what_runs_what_stands_in_line_and_what_waits(self, store, clock):
        start = clock.time
        store.set_caps("acme", Caps(in_progress=4))
        running, failed = (claimed(store, number, pace_key="large", tenant="acme") for number in (1, 2))
        store.heartbeat(running.lease, Progress("denoising", 5, 20))
        store.retry(failed.lease, OOM, 30)
        clock.pass_seconds(1)
        submitted(store, 3, steps=4)
        submitted(store, 4, queue="another")
        submitted(store, 5, priority=Priority.HIGH, tenant="acme")
        assert store.outlook(QUEUE) == Outlook(
            running=(RunningJob("w1", "acme", Size("large", 20), 5, start),),
            line=(
                WaitingJob(Place(0, start + 1, "job_0005", "acme"), Size("", 20)),
                WaitingJob(Place(1, start + 1, "job_0003", "default"), Size("", 4)),
            ),
            delayed=(WaitingJob(Place(1, start, "job_0002", "acme"), Size("large", 20), start + 30),),
            length=2,
            waiting={"acme": 1, "default": 1},
            caps={"acme": 4},
        )

    def test_learns_with_the_pace(self, store, clock):
        job = claimed(store)
        clock.pass_seconds(5)
        store.succeed(job.lease, {})
        assert store.outlook(QUEUE).paces == store.paces(QUEUE) == {ANY_KIND: Pace(0, 5)}

    @pytest.fixture
    def long_line(self, store, clock) -> list[str]:
        """More jobs than are told of: those of one tenant, the last few of many others."""
        tenants = ["acme"] * (FIRST + 2 * SAMPLES) + [f"t{number}" for number in range(TENANTS + 1)] * 2
        for number, tenant in enumerate(tenants):
            submitted(store, number, tenant=tenant, steps=number)
            clock.pass_seconds(1)
        return tenants

    def test_of_a_long_line_has_the_first_jobs_and_a_sample_of_the_others(self, store, long_line):
        outlook = store.outlook(QUEUE)
        assert outlook.length == len(long_line)
        assert [job.size.steps for job in outlook.line] == list(range(FIRST))
        sampled = [size.steps for size in outlook.samples]
        assert len(set(sampled)) == SAMPLES
        assert sampled == sorted(sampled)
        assert (min(sampled) - FIRST, len(long_line) - max(sampled)) == (1, 2)
        assert outlook.waiting == {"acme": FIRST + 2 * SAMPLES}

    def test_of_a_long_line_has_some_jobs_of_the_first_tenants_as_well_where_there_are_caps(
        self, store, long_line
    ):
        store.set_caps("acme", Caps(in_progress=1))
        outlook = store.outlook(QUEUE)
        extra = outlook.line[FIRST:]
        assert [job.place.tenant for job in extra] == [f"t{number}" for number in range(TENANTS - 1)] * 2
        assert outlook.waiting == {"acme": FIRST + 2 * SAMPLES} | {job.place.tenant: 2 for job in extra}
        assert list(outlook.line) == sorted(outlook.line, key=lambda job: job.place)


class TestIdempotency:
    KEY = IdempotencyKey("client key £ 1", "same", "t1")

    def test_answers_the_same_request_with_the_same_job_in_any_state(self, store):
        first = submitted(store, 1, idempotency=self.KEY)
        again = replace(self.KEY, token="t2")
        assert submitted(store, 2, idempotency=again) == first
        done = store.succeed(store.claim(QUEUE, "w1").lease, {})
        assert submitted(store, 3, idempotency=again) == done
        assert store.count(JobFilter()) == 1

    def test_refuses_another_request_under_the_same_key(self, store):
        submitted(store, 1, idempotency=self.KEY)
        with pytest.raises(KeyUsedError):
            submitted(store, 2, idempotency=replace(self.KEY, fingerprint="other"))

    def test_keeps_the_keys_of_tenants_apart(self, store):
        for number, tenant in enumerate("ab"):
            assert submitted(store, number, tenant=tenant, idempotency=self.KEY).tenant == tenant

    def test_forgets_a_key_after_its_time_and_with_its_job(self, store, clock):
        submitted(store, 1, idempotency=self.KEY)
        clock.pass_seconds(24 * 3600)
        assert submitted(store, 2, idempotency=self.KEY).id == "job_0002"
        store.cancel("job_0002")
        store.remove("job_0002")
        assert submitted(store, 3, idempotency=replace(self.KEY, fingerprint="other")).id == "job_0003"

    def test_refuses_a_key_that_another_request_has_reserved(self, store):
        store.reserve("default", self.KEY.key, "t1")
        store.reserve("default", self.KEY.key, "t1")
        store.reserve("acme", self.KEY.key, "t2")
        with pytest.raises(KeyReservedError):
            store.reserve("default", self.KEY.key, "t2")
        with pytest.raises(KeyReservedError):
            submitted(store, 1, idempotency=replace(self.KEY, token="t2"))
        assert submitted(store, 1, idempotency=self.KEY).id == "job_0001"
        store.reserve("default", self.KEY.key, "t2")  # used by now, so that the submit will tell

    def test_frees_a_reservation_that_is_given_up_or_left(self, store, clock):
        store.reserve("default", self.KEY.key, "t1")
        store.unreserve("default", self.KEY.key, "t2")
        with pytest.raises(KeyReservedError):
            store.reserve("default", self.KEY.key, "t3")
        store.unreserve("default", self.KEY.key, "t1")
        store.reserve("default", self.KEY.key, "t3")
        clock.pass_seconds(60)
        store.reserve("default", self.KEY.key, "t4")

    def test_a_key_that_was_used_is_not_given_up(self, store):
        submitted(store, 1, idempotency=self.KEY)
        store.unreserve("default", self.KEY.key, "t1")
        assert submitted(store, 2, idempotency=self.KEY).id == "job_0001"

    def test_a_refused_submit_uses_no_key(self, store):
        store.set_caps("default", Caps(queued=0))
        with pytest.raises(TooManyJobsError):
            submitted(store, 1, idempotency=self.KEY)
        store.set_caps("default", None)
        assert submitted(store, 2, idempotency=replace(self.KEY, fingerprint="other")).id == "job_0002"


class TestReuse:
    def test_answers_with_a_completed_job_of_the_same_digest(self, store):
        done = store.succeed(claimed(store, 1, digest="d").lease, {"artifact": "a.mp4"})
        assert submitted(store, 2, digest="d", reuse=True) == done
        assert store.count(JobFilter()) == 1

    @pytest.mark.parametrize(
        "changes", [{"digest": "e"}, {"reuse": False}, {"tenant": "acme"}, {"digest": ""}], ids=str
    )
    def test_makes_another_job_of_anything_else(self, store, changes):
        store.succeed(claimed(store, 1, digest="d").lease, {})
        named = {"digest": "d", "reuse": True} | changes
        assert submitted(store, 2, **named).id == "job_0002"

    def test_takes_no_job_that_is_not_completed_or_is_gone(self, store):
        running = claimed(store, 1, digest="d")
        assert submitted(store, 2, digest="d", reuse=True).id == "job_0002"
        store.succeed(running.lease, {})
        store.remove(running.id)
        assert submitted(store, 3, digest="d", reuse=True).id == "job_0003"

    def test_tells_beforehand_which_job_it_would_answer_with(self, store):
        first, done = (
            store.succeed(claimed(store, number, digest="d").lease, {"number": number}) for number in (1, 2)
        )
        assert store.finished("default", "d") == done
        assert [store.finished(*other) for other in (("acme", "d"), ("default", "e"), ("default", ""))] == [
            None
        ] * 3
        store.remove(done.id)
        assert store.finished("default", "d") is None
        assert store.get(first.id) == first

    def test_counts_for_the_idempotency_key(self, store):
        done = store.succeed(claimed(store, 1, digest="d").lease, {})
        key = IdempotencyKey("k", "same")
        submitted(store, 2, digest="d", reuse=True, idempotency=key)
        store.succeed(claimed(store, 3, digest="d").lease, {})
        assert submitted(store, 4, digest="d", reuse=True, idempotency=key) == done


class TestReads:
    def test_find_and_count_by_state_tenant_and_queue(self, store):
        for number in range(12):
            submitted(store, number, tenant=f"t{number % 2}", queue=f"q{number % 3}")
        for number in (0, 1, 6):
            store.cancel(f"job_{number:04}")
        cases = {
            JobFilter(): {*range(12)},
            JobFilter(tenant="t0"): {0, 2, 4, 6, 8, 10},
            JobFilter(queue="q1"): {1, 4, 7, 10},
            JobFilter(state=JobState.CANCELLED): {0, 1, 6},
            JobFilter(tenant="t0", queue="q0", state=JobState.CANCELLED): {0, 6},
            JobFilter(tenant="t1", state=JobState.QUEUED): {3, 5, 7, 9, 11},
            JobFilter(tenant="nobody"): set(),
        }
        for which, numbers in cases.items():
            expected = [f"job_{number:04}" for number in sorted(numbers, reverse=True)]
            assert [job.id for job in store.find(which, limit=50)] == expected
            assert store.count(which) == len(expected)

    def test_pages_are_newest_first_and_do_not_overlap(self, store):
        for number in range(7):
            submitted(store, number, queue=f"q{number % 2}")
        pages, before = [], None
        while page := store.find(JobFilter(), limit=3, before=before):
            pages.append([int(job.id[-4:]) for job in page])
            before = page[-1].id
        assert pages == [[6, 5, 4], [3, 2, 1], [0]]

    def test_a_queued_job_knows_how_many_are_ahead_of_it(self, store):
        for number in (1, 2, 3):
            submitted(store, number)
        submitted(store, 4, queue="ti2v-5B")
        assert [store.get(f"job_{number:04}").ahead for number in (1, 2, 3, 4)] == [0, 1, 2, 0]
        store.claim(QUEUE, "w1")
        assert [store.get(f"job_{number:04}").ahead for number in (1, 2, 3)] == [None, 0, 1]

    def test_paces_learn_from_successes_only(self, store, clock):
        assert store.paces(QUEUE) == {}
        for number, seconds in enumerate((10, 20)):
            job = claimed(store, number)
            clock.pass_seconds(seconds)
            store.succeed(job.lease, {})
        job = claimed(store, 3)
        clock.pass_seconds(1)
        store.fail(job.lease, OOM)
        (average,) = store.paces(QUEUE).values()
        assert (average.per_step, average.rest) == (0, pytest.approx(12.0))
        assert store.paces("ti2v-5B") == {}

    def test_paces_tell_steps_from_the_rest_for_each_kind(self, store, clock):
        for number, (kind, step_seconds) in enumerate([("a", 2), ("a", 7), ("b", 4)]):
            job = claimed(store, number, pace_key=kind)
            clock.pass_seconds(30)  # loading
            for step in (11, 12, 13):  # it went on from a checkpoint
                clock.pass_seconds(step_seconds)
                store.heartbeat(job.lease, Progress("denoising", step, 13))
            clock.pass_seconds(10)  # decoding, encoding
            store.heartbeat(job.lease, Progress("encoding", 13, 13))
            store.succeed(job.lease, {})
        paces = store.paces(QUEUE)
        assert {kind: (pace.per_step, pace.rest) for kind, pace in paces.items() if kind != ANY_KIND} == {
            "a": (pytest.approx(3), pytest.approx(40)),
            "b": (pytest.approx(4), pytest.approx(40)),
        }

    def test_paces_of_jobs_with_too_few_steps_tell_of_any_kind_alone(self, store):
        job = claimed(store, pace_key="a")
        store.heartbeat(job.lease, Progress("denoising", 1, 1))
        store.succeed(job.lease, {})
        assert list(store.paces(QUEUE)) == [ANY_KIND]

    def test_workers_are_those_heard_of_lately(self, store, clock):
        store.announce("w1", ["a", "b"])
        clock.pass_seconds(50)
        store.announce("w2", ["b"])
        store.announce("w3", ["b"])
        store.retire("w3")
        assert [(worker.name, worker.queues) for worker in store.workers()] == [
            ("w1", ("a", "b")),
            ("w2", ("b",)),
        ]
        clock.pass_seconds(11)
        assert [worker.name for worker in store.workers()] == ["w2"]

    def test_workers_take_jobs_of_all_their_queues_but_those_that_they_leave_alone(self, store):
        store.announce("w1", ["a", "b"])
        store.announce("w2", ["a", "b"], ["b"])
        store.announce("w3", ["a", "b"], [])
        assert [(worker.queues, worker.taken) for worker in store.workers()] == [
            (("a", "b"), ("a", "b")),
            (("a", "b"), ("b",)),
            (("a", "b"), ()),
        ]

    def test_workers_not_heard_of_lately_are_buried(self, store, clock):
        store.announce("w1", ["a"])
        clock.pass_seconds(61)
        store.announce("w2", ["a"])
        store.bury()
        clock.time -= 30
        assert [worker.name for worker in store.workers()] == ["w2"]

    def test_the_clock_is_the_injected_one(self, store, clock):
        assert store.now() == clock.time
        store.ping()


class TestAdmission:
    def test_turns_away_what_a_full_queue_cannot_take(self, store):
        room = Admission(queue_length=2)
        for number in range(2):
            submitted(store, number, admission=room)
        with pytest.raises(QueueFullError):
            submitted(store, 3, admission=room)
        submitted(store, 4, queue="other", admission=room)
        taken(store)
        submitted(store, 5, admission=room)

    def test_turns_away_what_would_wait_behind_too_many(self, store):
        for number, priority in enumerate((Priority.HIGH, Priority.NORMAL, Priority.LOW)):
            submitted(store, number, priority=priority)
        with pytest.raises(WaitTooLongError):
            submitted(store, 3, admission=Admission(ahead=1))
        first = submitted(store, 4, priority=Priority.HIGH, admission=Admission(ahead=1))
        assert first.ahead == 1
        second = submitted(store, 5, admission=Admission(ahead=3))
        assert second.ahead == 3

    def test_turns_away_a_tenant_that_used_up_its_day(self, store, clock):
        clock.time -= clock.time % DAY  # midnight
        hour = Admission(gpu_seconds=3600)
        clock.pass_seconds(2 * 3600)
        job = claimed(store, 1, tenant="a", admission=hour)
        clock.pass_seconds(3600)
        submitted(store, 2, tenant="a", admission=hour)
        store.succeed(job.lease, {})
        with pytest.raises(GpuTimeSpentError) as refused:
            submitted(store, 3, tenant="a", admission=hour)
        assert refused.value.retry_seconds == 21 * 3600
        submitted(store, 4, tenant="b", admission=hour)
        clock.pass_seconds(21 * 3600)
        submitted(store, 5, tenant="a", admission=hour)

    def test_lets_through_what_was_taken_before(self, store):
        submitted(store, 1)
        assert submitted(store, 1, admission=Admission(queue_length=0)).id == "job_0001"

    def test_writes_nothing_of_what_it_turns_away(self, store):
        with pytest.raises(QueueFullError):
            submitted(store, 1, admission=Admission(queue_length=0))
        with pytest.raises(JobNotFoundError):
            store.get("job_0001")
        assert store.count(JobFilter()) == 0


class TestSpent:
    @pytest.mark.parametrize("verb", ["succeed", "retry", "release", "fail", "cancel"])
    def test_counts_what_each_attempt_took(self, store, clock, verb):
        job = claimed(store, 1, tenant="a")
        clock.pass_seconds(12.5)
        if verb == "cancel":
            store.cancel(job.id)
        {
            "succeed": lambda: store.succeed(job.lease, {}),
            "retry": lambda: store.retry(job.lease, OOM),
            "release": lambda: store.release(job.lease),
            "fail": lambda: store.fail(job.lease, OOM),
            "cancel": lambda: store.release(job.lease),
        }[verb]()
        assert (store.spent("a"), store.spent("b")) == (12.5, 0)

    def test_does_not_count_what_a_lost_worker_took(self, store, clock):
        claimed(store, 1, tenant="a")
        clock.pass_seconds(31)
        store.rescue()
        assert store.spent("a") == 0

    def test_begins_anew_each_day(self, store, clock):
        job = claimed(store, 1, tenant="a")
        clock.pass_seconds(10)
        store.succeed(job.lease, {})
        clock.pass_seconds(DAY)
        assert store.spent("a") == 0
