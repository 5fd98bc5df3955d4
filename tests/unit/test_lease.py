"""Keeping a lease: what a hold learns from the store, and the thread that renews."""

from collections.abc import Iterator
from typing import Any

import pytest

import workers.lease
from jobs.policy import Policy
from jobs.state import Job, JobState, Lease, Progress
from jobs.store import JobStore
from tests.unit.worker_parts import QUEUE, Clock, FlakyStore, new_job, until
from wan_models.errors import GenerationStoppedError
from workers.lease import CancelRequestedError, Hold, HoldLostError, LeaseKeeper

POLICY = Policy(lease_seconds=30)


@pytest.fixture
def clock(monkeypatch) -> Clock:
    """Both the store's and the worker's."""
    clock = Clock()
    monkeypatch.setattr(workers.lease, "time", clock)
    return clock


@pytest.fixture
def store(clock) -> FlakyStore:
    return FlakyStore(POLICY, clock)


def claimed(store: JobStore, number: int = 1) -> Job:
    job = store.claim(store.submit(new_job(number)).queue, "w1")
    assert job
    return job


class TestAHold:
    @pytest.fixture
    def held(self, store) -> Hold:
        return Hold(claimed(store).lease, store, POLICY.lease_seconds)

    def test_notes_progress_in_the_record(self, held, store):
        held.report("denoising", 3, 20)
        assert store.get(held.lease.job_id).progress == Progress("denoising", 3, 20)

    def test_keeps_the_steps_of_the_stage_before_where_a_stage_has_none(self, held, store):
        held.report("denoising", 20, 20)
        held.report("encoding")
        assert store.get(held.lease.job_id).progress == Progress("encoding", 20, 20)

    def test_renews_the_lease_with_every_report(self, held, store, clock):
        for step in range(1, 4):
            clock.sleep(20)
            held.report("denoising", step, 4)
        assert store.rescue() == []
        assert store.get(held.lease.job_id).lease_expires_at == clock.time + 30

    def test_renews_without_touching_the_progress(self, held, store):
        held.report("denoising", 3, 20)
        held.renew()
        assert store.get(held.lease.job_id).progress == Progress("denoising", 3, 20)

    def test_stops_the_run_when_a_cancel_was_requested(self, held, store):
        store.cancel(held.lease.job_id)
        with pytest.raises(CancelRequestedError):
            held.report("denoising", 1, 4)

    def test_remembers_a_cancel_that_a_heartbeat_between_two_reports_noticed(self, held, store):
        store.cancel(held.lease.job_id)
        held.renew()
        store.away = True
        with pytest.raises(CancelRequestedError):
            held.report("denoising", 1, 4)

    def test_stops_the_run_when_another_attempt_has_the_job(self, held, store, clock):
        clock.sleep(31)
        store.rescue()
        store.claim(QUEUE, "w2")
        with pytest.raises(HoldLostError, match="Attempt 1 no longer holds"):
            held.report("denoising", 1, 4)
        assert store.get(held.lease.job_id).progress.stage == ""

    def test_stops_the_run_when_the_record_is_gone(self, held, store):
        store.cancel(held.lease.job_id)
        store.release(held.lease)
        store.remove(held.lease.job_id)
        with pytest.raises(HoldLostError, match="no job"):
            held.report("denoising", 1, 4)

    def test_outlasts_a_store_that_is_away_for_less_than_the_lease(self, held, store, clock):
        for _ in range(3):
            store.away = True
            clock.sleep(29)
            held.report("denoising", 1, 4)
            store.away = False
            held.report("denoising", 2, 4)
        assert store.get(held.lease.job_id).progress.step == 2

    def test_stops_the_run_when_the_store_is_away_for_longer_than_the_lease(self, held, store, clock):
        held.report("denoising", 1, 4)
        store.away = True
        clock.sleep(31)
        with pytest.raises(HoldLostError, match="away"):
            held.report("denoising", 2, 4)

    def test_says_why_in_errors_that_pipelines_let_through(self):
        assert issubclass(CancelRequestedError, GenerationStoppedError)
        assert issubclass(HoldLostError, GenerationStoppedError)


class CountingStore(FlakyStore):
    """Counts what reaches it, answered or not."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(POLICY, clock)
        self.beats: dict[str, int] = {}
        self.announced = 0
        self.broken = False

    def heartbeat(self, lease: Lease, progress: Progress | None = None) -> bool:
        self.beats[lease.job_id] = self.beats.get(lease.job_id, 0) + 1
        if self.broken:
            raise RuntimeError("Nobody thought of this.")
        return super().heartbeat(lease, progress)

    def announce(self, worker: str, queues: Any) -> None:
        self.announced += 1
        super().announce(worker, queues)

    def wait_for_beats(self, job_id: str, more: int = 2) -> None:
        """Two, so that one of them began after the call."""
        enough = self.beats.get(job_id, 0) + more
        until(lambda: self.beats.get(job_id, 0) >= enough)

    def wait_for_rounds(self, more: int = 2) -> None:
        enough = self.announced + more
        until(lambda: self.announced >= enough)


class TestALeaseKeeper:
    @pytest.fixture
    def store(self, clock) -> CountingStore:
        return CountingStore(clock)

    @pytest.fixture
    def keeper(self, store) -> Iterator[LeaseKeeper]:
        """It beats every ten milliseconds; the leases themselves last thirty seconds of the stopped clock."""
        with LeaseKeeper(store, "w1", [QUEUE], lease_seconds=0.03) as keeper:
            yield keeper

    def test_renews_every_lease_it_holds(self, keeper, store, clock):
        jobs = [claimed(store, number) for number in (1, 2)]
        for job in jobs:
            keeper.hold(job.lease)
        for _ in range(3):
            clock.sleep(20)
            for job in jobs:
                store.wait_for_beats(job.id)
        assert store.rescue() == []
        assert [store.get(job.id).lease_expires_at for job in jobs] == [clock.time + 30] * 2

    def test_lets_a_dropped_lease_run_out(self, keeper, store, clock):
        dropped, kept = claimed(store, 1), claimed(store, 2)
        held = keeper.hold(dropped.lease)
        keeper.hold(kept.lease)
        keeper.drop(held)
        store.wait_for_beats(kept.id)  # a beat that was under way when it was dropped is over now
        clock.sleep(20)
        store.wait_for_beats(kept.id)
        clock.sleep(11)
        assert [job.id for job in store.rescue()] == [dropped.id]

    def test_drops_a_lease_once_or_twice(self, keeper, store):
        held = keeper.hold(claimed(store).lease)
        keeper.drop(held)
        keeper.drop(held)
        store.wait_for_rounds()
        beats = store.beats.get(held.lease.job_id)
        store.wait_for_rounds()
        assert store.beats.get(held.lease.job_id) == beats

    def test_keeps_the_lease_of_a_later_attempt_when_the_earlier_one_is_dropped(self, keeper, store):
        earlier = keeper.hold(claimed(store).lease)
        store.release(earlier.lease)
        later = store.claim(QUEUE, "w1")
        assert later
        keeper.hold(later.lease)
        keeper.drop(earlier)
        store.wait_for_rounds()
        store.wait_for_beats(later.id)

    def test_notices_a_cancel_between_two_reports(self, keeper, store):
        job = claimed(store)
        held = keeper.hold(job.lease)
        store.cancel(job.id)
        store.wait_for_beats(job.id)
        store.away = True
        with pytest.raises(CancelRequestedError):
            held.report("denoising", 1, 4)

    def test_notices_a_lost_lease_between_two_reports_and_goes_on_with_the_others(self, keeper, store, clock):
        lost, kept = claimed(store, 1), claimed(store, 2)
        held = keeper.hold(lost.lease)
        store.release(lost.lease)
        store.wait_for_beats(lost.id)
        store.away = True
        with pytest.raises(HoldLostError, match="no longer holds"):
            held.report("denoising", 1, 4)
        store.away = False
        keeper.hold(kept.lease).report("denoising", 1, 4)
        store.wait_for_beats(kept.id)

    def test_renews_again_when_the_store_is_back(self, keeper, store, clock):
        job = claimed(store)
        held = keeper.hold(job.lease)
        store.away = True
        store.wait_for_beats(job.id)
        store.away = False
        clock.sleep(20)
        store.wait_for_beats(job.id)
        clock.sleep(20)
        assert store.rescue() == []
        assert store.get(job.id).state is JobState.IN_PROGRESS
        assert held.lease == job.lease

    def test_goes_on_after_an_error_that_nobody_thought_of(self, keeper, store, clock, caplog):
        job = claimed(store)
        keeper.hold(job.lease)
        store.broken = True
        store.wait_for_beats(job.id)
        store.broken = False
        clock.sleep(20)
        store.wait_for_beats(job.id)
        clock.sleep(20)
        assert store.rescue() == []
        assert "A round of heartbeats broke" in caplog.messages

    def test_says_that_its_worker_is_alive_and_goes_on_saying_so(self, keeper, store, clock):
        assert [(worker.name, worker.queues) for worker in store.workers()] == [("w1", (QUEUE,))]
        clock.sleep(POLICY.worker_silence_seconds + 1)
        store.wait_for_rounds()
        assert [worker.seen_at for worker in store.workers()] == [clock.time]

    def test_takes_its_worker_off_the_list_when_it_ends(self, store):
        with LeaseKeeper(store, "w1", [QUEUE], lease_seconds=0.03):
            assert store.workers()
        assert not store.workers()

    def test_starts_and_ends_while_the_store_is_away(self, store, caplog):
        store.away = True
        with LeaseKeeper(store, "w1", [QUEUE], lease_seconds=0.03):
            store.wait_for_rounds()
        assert "Worker w1 cannot be listed: The store is away." in caplog.messages
