"""The keeper's part: renewing, passing on reasons to stop, and ending what the child no longer can."""

import logging
import time
from collections.abc import Mapping
from typing import Any

import pytest
from structlog.contextvars import get_contextvars

from jobs.policy import Policy
from jobs.state import Job, JobError, JobState, Progress
from tests.unit.worker_parts import QUEUE, Clock, FlakyStore, new_job
from workers.attempts import Attempts
from workers.keeper import Keeper
from workers.rotation import Rotation

GRACE_SECONDS = 10
POLICY = Policy(lease_seconds=30, max_attempts=2)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(clock) -> FlakyStore:
    return FlakyStore(POLICY, clock)


class Child:
    """What a child tells its keeper, and what it learns."""

    def __init__(self, store: FlakyStore, clock: Clock) -> None:
        self.store = store
        self.clock = clock
        self.killed = 0
        self.rotation = Rotation([QUEUE])
        self.keeper = Keeper(
            store,
            Attempts(patience_seconds=0),
            "w1",
            self.rotation,
            lease_seconds=30,
            grace_seconds=GRACE_SECONDS,
            kill=self._kill,
            clock=clock,
        )

    def claim(self, number: int = 1, **changes: Any) -> Job:
        job = self.store.claim(self.store.submit(new_job(number, **changes)).queue, "w1")
        assert job
        self.hold(job)
        return job

    def hold(self, job: Job) -> None:
        self.tell(job, "hold", facts={"job": job.id, "request_id": "r-1"})

    def tell(self, job: Job, what: str, **more: Any) -> None:
        self.keeper.take({"do": what, "job": job.id, "attempt": job.attempt} | more)

    def report(self, job: Job, stage: str, step: int = 1) -> None:
        self.tell(job, "report", progress=[stage, step, 4])

    def note(self, job: Job, text: str) -> None:
        self.tell(job, "note", note=[time.time(), "info", job.attempt, text])

    def noted(self, job: Job) -> list[str]:
        return [note.text for note in self.store.notes(job.id)]

    def after(self, seconds: float) -> list[Mapping[str, Any]]:
        """Let the keeper beat every second for so long; gives what it said."""
        said = []
        for _ in range(int(seconds)):
            self.clock.sleep(1)
            said += self.keeper.look()
        return said

    def _kill(self) -> None:
        self.killed += 1


@pytest.fixture
def child(store, clock) -> Child:
    return Child(store, clock)


class TestRenewing:
    def test_keeps_every_lease_without_a_word_from_the_child(self, child, store, clock):
        jobs = [child.claim(number) for number in (1, 2)]
        assert child.after(300) == []
        assert store.rescue() == []
        assert [store.get(job.id).lease_expires_at for job in jobs] == [clock.time + 30] * 2

    def test_does_not_touch_the_progress(self, child, store):
        job = child.claim()
        child.report(job, "denoising", 3)
        child.after(5)
        assert store.get(job.id).progress == Progress("denoising", 3, 4)
        assert [event.type for event in store.events(job.id)].count("progress") == 1

    def test_sends_only_the_latest_of_several_reports(self, child, store):
        job = child.claim()
        for step in (1, 2, 3):
            child.report(job, "denoising", step)
        child.keeper.look()
        assert [event.data["step"] for event in store.events(job.id) if event.type == "progress"] == [3]

    def test_ends_with_the_hold(self, child, store):
        dropped, kept = child.claim(1), child.claim(2)
        child.tell(dropped, "drop")
        child.after(31)
        assert [job.id for job in store.rescue()] == [dropped.id]
        assert store.get(kept.id).state is JobState.IN_PROGRESS

    def test_goes_on_for_a_later_attempt_when_the_earlier_one_is_dropped(self, child, store):
        earlier = child.claim()
        store.release(earlier.lease)
        later = store.claim(QUEUE, "w1")
        child.hold(later)
        child.tell(earlier, "drop")
        child.after(60)
        assert store.rescue() == []

    def test_says_that_its_worker_is_alive(self, child, store, clock):
        child.after(POLICY.worker_silence_seconds * 2)
        (worker,) = store.workers()
        assert (worker.name, worker.queues, worker.seen_at) == ("w1", (QUEUE,), clock.time)

    def test_says_which_jobs_its_worker_takes(self, child, store):
        child.rotation.tell(())
        child.after(2)
        assert [(worker.queues, worker.taken) for worker in store.workers()] == [((QUEUE,), ())]
        child.rotation.tell([QUEUE])
        child.after(2)
        assert [worker.taken for worker in store.workers()] == [(QUEUE,)]

    def test_tells_once_that_the_store_went_and_once_that_it_is_back(self, child, store, caplog):
        caplog.set_level("INFO")
        child.claim()
        store.away = True
        child.after(50)
        store.away = False
        child.after(2)
        assert caplog.messages == ["The store is away.", "The job store answers again, after 50 s"]

    def test_outlasts_a_store_that_is_away_for_however_long(self, child, store):
        job = child.claim()
        child.report(job, "denoising", 3)
        store.away = True
        assert child.after(300) == []
        store.away = False
        assert child.after(1) == []
        told = store.get(job.id)
        assert (told.state, told.attempt, told.progress.step) == (JobState.IN_PROGRESS, 1, 3)


class TestStopping:
    def test_passes_a_cancel_on_once_and_within_a_second(self, child, store):
        job = child.claim()
        child.after(5)
        store.cancel(job.id)
        (said,) = child.after(1)
        assert (said["job"], said["attempt"], said["stop"]) == (job.id, 1, "cancel")
        assert child.after(5) == []

    def test_passes_on_that_the_lease_is_lost_and_renews_it_no_more(self, child, store):
        job = child.claim()
        store.release(job.lease)
        (said,) = child.after(1)
        assert (said["stop"], "no longer holds" in said["why"]) == ("lost", True)
        assert child.after(5) == []

    def test_goes_on_renewing_while_the_run_comes_to_its_end(self, child, store):
        job = child.claim()
        store.cancel(job.id)
        child.report(job, "encoding")
        child.after(60)
        assert store.rescue() == []


class TestARunThatDoesNotStop:
    def test_for_a_cancel_is_killed_after_the_grace_and_ends_cancelled(self, child, store):
        job = child.claim()
        store.cancel(job.id)
        child.after(GRACE_SECONDS)
        assert child.killed == 0
        child.after(1)
        assert child.killed == 1
        assert store.get(job.id).state is JobState.CANCELLED

    def test_for_its_timeout_is_killed_and_has_failed(self, child, store):
        job = child.claim(timeout=20)
        child.after(20)
        store.expire()
        child.after(GRACE_SECONDS + 1)
        assert child.killed == 1
        told = store.get(job.id)
        assert (told.state, told.error.code) == (JobState.FAILED, "timeout")

    def test_for_a_lost_lease_is_killed_and_the_job_left_to_whoever_has_it(self, child, store):
        job = child.claim()
        store.release(job.lease)
        other = store.claim(QUEUE, "w2")
        child.after(GRACE_SECONDS + 1)
        assert child.killed == 1
        assert store.get(job.id) == other

    def test_takes_the_other_job_of_its_process_with_it_at_no_cost(self, child, store):
        stuck, other = child.claim(1), child.claim(2)
        child.report(other, "encoding")
        store.cancel(stuck.id)
        child.after(GRACE_SECONDS + 1)
        told = store.get(other.id)
        assert (told.state, told.failures) == (JobState.QUEUED, 0)

    @pytest.mark.parametrize("stage", ["encoding", "uploading"])
    def test_because_its_video_is_being_finished_has_five_minutes(self, child, store, stage):
        job = child.claim()
        child.report(job, stage)
        store.cancel(job.id)
        child.after(300)
        assert child.killed == 0
        child.after(2)
        assert child.killed == 1

    @pytest.mark.parametrize(("stage", "level"), [("denoising", "error"), ("decoding", "info")])
    def test_is_an_error_only_where_there_was_a_step_to_stop_at(self, child, store, stage, level):
        job = child.claim()
        child.report(job, stage)
        store.cancel(job.id)
        child.after(GRACE_SECONDS + 1)
        assert [note.level for note in store.notes(job.id)] == [level]

    def test_is_killed_once(self, child, store):
        store.cancel(child.claim().id)
        child.after(300)
        assert child.killed == 1

    def test_is_not_killed_when_it_stops_in_time(self, child, store):
        job = child.claim()
        store.cancel(job.id)
        child.after(5)
        child.tell(job, "drop")
        child.after(300)
        assert child.killed == 0


def test_what_is_logged_of_a_job_says_what_it_was_taken_with(child, store, caplog, monkeypatch):
    facts: list[dict[str, Any]] = []

    def note_facts(_: logging.LogRecord) -> bool:
        facts.append(get_contextvars())
        return True

    caplog.set_level("DEBUG")
    monkeypatch.setattr(caplog.handler, "filters", [note_facts])
    child.claim()
    store.away = True
    child.after(1)
    store.away = False
    store.cancel("job_0001")
    child.after(GRACE_SECONDS + 1)
    said = dict(zip(caplog.messages, facts, strict=True))
    about = {"job": "job_0001", "request_id": "r-1"}
    assert said["No heartbeat: The store is away."] == about
    assert said["The run does not stop; killing its process"] == about
    assert said["Attempt 1 ended, the job is cancelled"] == about


class TestNotes:
    def test_are_written_down_within_a_second(self, child, store):
        job = child.claim()
        child.note(job, "Loading")
        assert store.notes(job.id) == []
        child.after(1)
        child.note(job, "Loaded")
        child.after(1)
        assert child.noted(job) == ["Loading", "Loaded"]

    def test_are_written_down_when_the_job_is_let_go(self, child, store):
        job = child.claim()
        child.note(job, "Stored")
        store.release(job.lease)
        child.tell(job, "drop")
        assert child.noted(job) == ["Stored"]

    def test_survive_the_child(self, child):
        job = child.claim()
        child.note(job, "Loading")
        child.keeper.bury("killed by SIGKILL")
        assert child.noted(job) == ["Loading"]

    def test_wait_for_a_store_that_is_away(self, child, store):
        job = child.claim()
        child.note(job, "Loading")
        store.away = True
        child.after(3)
        store.away = False
        child.after(1)
        assert child.noted(job) == ["Loading"]

    def test_tell_that_a_run_had_to_be_killed(self, child, store):
        job = child.claim()
        store.cancel(job.id)
        child.after(GRACE_SECONDS + 2)
        assert child.noted(job) == ["The run does not stop; killing its process"]

    def test_of_no_job_of_the_child_are_ignored(self, child):
        job = child.claim()
        child.tell(job, "drop")
        child.note(job, "late")
        child.after(2)
        assert child.noted(job) == []


class TestADeadChild:
    def test_costs_its_jobs_an_attempt_at_once(self, child, store):
        jobs = [child.claim(number) for number in (1, 2)]
        child.keeper.bury("killed by SIGSEGV")
        for job in jobs:
            told = store.get(job.id)
            assert (told.state, told.failures) == (JobState.QUEUED, 1)
            assert told.error == JobError("worker_lost", "The process of worker w1 died: killed by SIGSEGV.")

    def test_fails_the_job_when_no_attempts_are_left(self, child, store):
        child.claim()
        child.keeper.bury("once")
        child.hold(store.claim(QUEUE, "w1"))
        child.keeper.bury("twice")
        job = store.get("job_0001")
        assert (job.state, job.error.message) == (
            JobState.FAILED,
            "The process of worker w1 died: twice.",
        )

    def test_after_a_cancel_ends_its_job_cancelled(self, child, store):
        job = child.claim()
        store.cancel(job.id)
        child.keeper.bury("killed by SIGKILL")
        assert store.get(job.id).state is JobState.CANCELLED

    def test_leaves_alone_what_it_ended_itself(self, child, store):
        job = child.claim()
        done = store.succeed(job.lease, {"artifact": "job_0001/1.mp4"})
        child.keeper.bury("killed by SIGKILL")  # before it could say that it dropped the job
        assert store.get(job.id) == done
