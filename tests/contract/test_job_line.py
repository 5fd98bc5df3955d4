"""One suite for every JobStore: who is next, and what every job is told of that."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.errors import TooManyJobsError
from jobs.policy import Caps, Policy
from jobs.state import Job, JobFilter, JobState, Lease, Priority
from jobs.store_memory import MemoryJobStore
from jobs.store_redis import RedisJobStore, connect
from tests.contract.job_store_helpers import (
    LEASE_VERBS,
    OOM,
    POLICY,
    QUEUE,
    Clock,
    claimed,
    log,
    submitted,
    taken,
)


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
