"""How an attempt ends: the verb that fits what the run raised, and a store that is away."""

import errno

import pytest

import workers.patience
from jobs.errors import ArtifactStoreUnavailableError
from jobs.policy import Policy
from jobs.state import Job, JobError, JobState
from tests.unit.worker_parts import QUEUE, Clock, DirectKeeper, FlakyStore, new_job
from wan_models.errors import DeviceFaultError, DeviceMemoryError, GenerationError, ModelNotInstalledError
from wan_models.speech import SpeechUnavailableError
from workers.attempts import Attempts
from workers.backoff import Backoff
from workers.drain import DrainedError
from workers.lease import CancelRequestedError, Hold, HoldLostError
from workers.outcome import Outcome
from workers.recovery import Recovery

RESULT = {"artifact": "job_0001/1.mp4"}


@pytest.fixture
def clock(monkeypatch) -> Clock:
    """The store's and the outcome's."""
    clock = Clock()
    monkeypatch.setattr(workers.patience, "time", clock)
    return clock


@pytest.fixture
def store(clock) -> FlakyStore:
    return FlakyStore(Policy(lease_seconds=30, max_attempts=2), clock)


@pytest.fixture
def keeper(store, clock) -> DirectKeeper:
    return DirectKeeper(store, clock)


@pytest.fixture
def outcome(store, keeper) -> Outcome:
    return Outcome(
        store, Attempts(patience_seconds=30), keeper, Recovery(lambda: False), Backoff(10, lambda: 0.5)
    )


@pytest.fixture
def held(store: FlakyStore, keeper: DirectKeeper) -> Hold:
    job = store.claim(store.submit(new_job()).queue, "w1")
    assert job
    return keeper.hold(job.lease)


def ended(outcome: Outcome, held: Hold, store: FlakyStore, error: Exception) -> Job:
    def broken() -> None:
        raise error

    with outcome.of(held):
        broken()
    return store.get(held.lease.job_id)


class TestARunThatRaises:
    @pytest.mark.parametrize(
        ("error", "told"),
        [
            (
                GenerationError("The model broke: NaN."),
                JobError("generation_failed", "The model broke: NaN."),
            ),
            (
                ModelNotInstalledError("t2v-A14B"),
                JobError("generation_failed", str(ModelNotInstalledError("t2v-A14B"))),
            ),
            (
                DeviceMemoryError("Too little."),
                JobError("out_of_memory", "Too little."),
            ),
        ],
    )
    def test_an_error_that_will_not_pass_fails_the_job(self, outcome, held, store, error, told):
        job = ended(outcome, held, store, error)
        assert (job.state, job.error) == (JobState.FAILED, told)

    def test_an_unforeseen_error_is_logged_with_its_traceback(self, outcome, held, store, caplog):
        ended(outcome, held, store, ZeroDivisionError("1/0"))
        assert any(record.exc_info and "Attempt 1 broke" in record.message for record in caplog.records)

    @pytest.mark.parametrize(
        ("error", "told"),
        [
            (
                ZeroDivisionError("secret path"),
                JobError("internal_error", "The worker broke: ZeroDivisionError. Its log says more."),
            ),
            (
                OSError(errno.ENOSPC, "No space left on device"),
                JobError("worker_disk", "The worker cannot use its disk: No space left on device."),
            ),
            (
                DeviceFaultError("The device failed."),
                JobError("device_fault", "The device failed."),
            ),
        ],
    )
    def test_an_error_that_may_pass_has_the_job_tried_again(self, outcome, held, store, error, told):
        job = ended(outcome, held, store, error)
        assert (job.state, job.failures, job.error) == (JobState.QUEUED, 1, told)

    def test_a_fault_of_the_artifact_store_has_the_job_tried_again(self, outcome, held, store):
        job = ended(outcome, held, store, ArtifactStoreUnavailableError("The bucket is away."))
        assert (job.state, job.failures) == (JobState.QUEUED, 1)
        assert job.error == JobError("artifact_store_unavailable", "The bucket is away.")

    def test_a_speech_service_that_is_away_has_the_job_tried_again(self, outcome, held, store):
        job = ended(outcome, held, store, SpeechUnavailableError("Nobody answers."))
        assert (job.state, job.error) == (
            JobState.QUEUED,
            JobError("speech_unavailable", "Nobody answers."),
        )

    def test_the_last_such_fault_fails_the_job(self, outcome, held, store, keeper, clock):
        job = ended(outcome, held, store, ArtifactStoreUnavailableError("The bucket is away."))
        assert job.not_before == clock.time + 10
        assert store.claim(QUEUE, "w2") is None
        clock.sleep(10)
        again = store.claim(QUEUE, "w1")
        assert again
        last = keeper.hold(again.lease)
        job = ended(outcome, last, store, ArtifactStoreUnavailableError("Still."))
        assert (job.state, job.error) == (
            JobState.FAILED,
            JobError("artifact_store_unavailable", "Still."),
        )

    def test_a_drain_gives_the_job_back_at_no_cost(self, outcome, held, store):
        job = ended(outcome, held, store, DrainedError("The worker is shutting down."))
        assert (job.state, job.failures, job.error) == (JobState.QUEUED, 0, None)

    def test_a_requested_cancel_ends_the_job_cancelled(self, outcome, held, store):
        store.cancel(held.lease.job_id)
        job = ended(outcome, held, store, CancelRequestedError("A cancel was requested."))
        assert job.state is JobState.CANCELLED

    def test_a_lost_lease_leaves_the_job_to_whoever_has_it(self, outcome, held, store, clock):
        clock.sleep(31)
        store.rescue()
        other = store.claim(QUEUE, "w2")
        assert other
        assert ended(outcome, held, store, HoldLostError("gone")) == store.get(other.id)
        assert store.get(other.id).lease == other.lease

    def test_what_is_to_be_done_before_the_end_is_done_while_the_lease_is_held(self, outcome, held, store):
        states: list[JobState] = []
        held.at_end(lambda: states.append(store.get(held.lease.job_id).state))
        ended(outcome, held, store, DrainedError("drained"))
        assert states == [JobState.IN_PROGRESS]

    @pytest.mark.parametrize(
        "error",
        [
            GenerationError("broke"),
            ZeroDivisionError("broke"),
            ArtifactStoreUnavailableError("away"),
            DrainedError("drained"),
            CancelRequestedError("cancelled"),
            HoldLostError("lost"),
        ],
    )
    def test_no_lease_is_kept_whatever_the_error(self, outcome, held, store, keeper, error):
        ended(outcome, held, store, error)
        assert keeper.dropped == [held.lease]


def test_a_run_that_raises_nothing_goes_on_holding_its_job(outcome, held, store, keeper):
    with outcome.of(held):
        held.report("denoising", 1, 4)
    assert store.get(held.lease.job_id).state is JobState.IN_PROGRESS
    assert keeper.dropped == []


class TestAStoreThatIsAway:
    def test_for_a_moment_does_not_lose_a_finished_video(self, outcome, held, store, keeper, clock):
        def come_back_after_a_while() -> None:
            store.away = clock.time - began < 20

        store.away, began = True, clock.time
        clock.meanwhile = come_back_after_a_while
        outcome.end(held, lambda: store.succeed(held.lease, RESULT))
        job = store.get(held.lease.job_id)
        assert (job.state, job.result) == (JobState.COMPLETED, RESULT)
        assert keeper.dropped == [held.lease]

    def test_for_longer_than_the_patience_is_given_up_and_the_rescue_left_to_others(
        self, outcome, held, store, clock, caplog
    ):
        store.away, began = True, clock.time
        outcome.end(held, lambda: store.succeed(held.lease, RESULT))
        assert 30 < clock.time - began < 31
        assert "How attempt 1 ended is lost: The store is away." in caplog.messages

    def test_does_not_end_an_attempt_that_another_one_has_replaced(self, outcome, held, store, clock):
        def come_back_with_another_attempt() -> None:
            store.away = False
            clock.time += 31
            store.rescue()
            store.claim(QUEUE, "w2")

        store.away = True
        clock.meanwhile = come_back_with_another_attempt
        outcome.end(held, lambda: store.succeed(held.lease, RESULT))
        job = store.get(held.lease.job_id)
        assert (job.state, job.worker, job.result) == (JobState.IN_PROGRESS, "w2", None)


def test_a_verb_that_breaks_for_another_reason_is_heard_of_and_keeps_no_lease(outcome, held, keeper):
    def broken() -> Job:
        raise RuntimeError("Nobody thought of this.")

    with pytest.raises(RuntimeError, match="Nobody"):
        outcome.end(held, broken)
    assert keeper.dropped == [held.lease]


def test_a_job_that_was_removed_meanwhile_is_no_error(outcome, held, store, keeper):
    store.cancel(held.lease.job_id)
    store.release(held.lease)
    store.remove(held.lease.job_id)
    outcome.end(held, lambda: store.succeed(held.lease, RESULT))
    assert keeper.dropped == [held.lease]
