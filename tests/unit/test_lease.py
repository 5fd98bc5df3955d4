"""Holding a job: what a run is told when it reports, by a keeper that acts at once."""

import pytest

from jobs.policy import Policy
from jobs.state import Job, Note, Progress
from jobs.store import JobStore
from tests.unit.worker_parts import QUEUE, Clock, DirectKeeper, FlakyStore, new_job
from wan_models.errors import GenerationStoppedError
from workers.lease import STOPS, CancelRequestedError, Hold, HoldLostError

POLICY = Policy(lease_seconds=30)


@pytest.fixture
def clock() -> Clock:
    """The store's and the keeper's."""
    return Clock()


@pytest.fixture
def store(clock) -> FlakyStore:
    return FlakyStore(POLICY, clock)


@pytest.fixture
def keeper(store, clock) -> DirectKeeper:
    return DirectKeeper(store, clock)


def claimed(store: JobStore, number: int = 1) -> Job:
    job = store.claim(store.submit(new_job(number)).queue, "w1")
    assert job
    return job


@pytest.fixture
def held(store: FlakyStore, keeper: DirectKeeper) -> Hold:
    return keeper.hold(claimed(store).lease)


def test_progress_is_noted_in_the_record(held, store):
    held.report("denoising", 3, 20)
    assert store.get(held.lease.job_id).progress == Progress("denoising", 3, 20)


def test_a_stage_without_steps_keeps_those_of_the_stage_before(held, store):
    held.report("denoising", 20, 20)
    held.report("encoding")
    assert store.get(held.lease.job_id).progress == Progress("encoding", 20, 20)


def test_every_report_renews_the_lease(held, store, clock):
    for step in range(1, 4):
        clock.sleep(20)
        held.report("denoising", step, 4)
    assert store.rescue() == []
    assert store.get(held.lease.job_id).lease_expires_at == clock.time + 30


def test_a_requested_cancel_stops_the_run(held, store):
    store.cancel(held.lease.job_id)
    with pytest.raises(CancelRequestedError):
        held.report("denoising", 1, 4)


def test_a_run_that_is_to_stop_is_told_so_at_every_report(held, store):
    store.cancel(held.lease.job_id)
    for step in (1, 2):
        with pytest.raises(CancelRequestedError):
            held.report("denoising", step, 4)


def test_another_attempt_that_has_the_job_stops_the_run(held, store, clock):
    clock.sleep(31)
    store.rescue()
    store.claim(QUEUE, "w2")
    with pytest.raises(HoldLostError, match="Attempt 1 no longer holds"):
        held.report("denoising", 1, 4)
    assert store.get(held.lease.job_id).progress.stage == ""


def test_a_record_that_is_gone_stops_the_run(held, store):
    store.cancel(held.lease.job_id)
    store.release(held.lease)
    store.remove(held.lease.job_id)
    with pytest.raises(HoldLostError, match="no job"):
        held.report("denoising", 1, 4)


def test_the_reason_of_one_job_does_not_stop_the_other(held, keeper, store):
    other = keeper.hold(claimed(store, 2).lease)
    store.cancel(held.lease.job_id)
    other.report("denoising", 1, 4)
    with pytest.raises(CancelRequestedError):
        held.report("denoising", 1, 4)
    other.report("denoising", 2, 4)


def test_what_is_told_to_a_job_that_was_dropped_is_nobodys_concern(held, keeper, store, clock):
    later = keeper.hold(claimed(store, 2).lease)
    store.cancel(held.lease.job_id)
    clock.sleep(2)
    keeper.note(later.lease, Note(clock.time, "info", 1, "by now the keeper has told of the cancel"))
    keeper.drop(held)
    later.report("denoising", 1, 4)
    assert store.get(later.lease.job_id).progress.step == 1


def test_every_reason_is_an_error_that_pipelines_let_through():
    assert all(issubclass(error, GenerationStoppedError) for error in STOPS.values())


def test_what_is_to_be_done_before_the_end_is_done_once(held):
    done: list[str] = []
    held.at_end(lambda: done.append("saved"))
    held.settle()
    held.settle()
    assert done == ["saved"]
