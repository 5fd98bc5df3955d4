"""One suite for every JobStore: what the verbs promise, whoever keeps the records."""

import pytest

from jobs.errors import (
    GpuTimeSpentError,
    InvalidTransitionError,
    JobNotFoundError,
    LeaseLostError,
    QueueFullError,
    TooManyJobsError,
    WaitTooLongError,
)
from jobs.policy import Caps
from jobs.state import (
    FINAL_STATES,
    Admission,
    Attempt,
    IdempotencyKey,
    JobError,
    JobFilter,
    JobState,
    Lease,
    Priority,
    Progress,
)
from tests.contract.job_store_helpers import (
    DAY,
    LEASE_VERBS,
    OOM,
    QUEUE,
    claimed,
    ended,
    kept_seconds,
    log,
    new_job,
    submitted,
    taken,
)


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
