"""The log of a job as its owner reads it: events and notes, in the order in which things happened."""

from api.job_log import job_log_view
from jobs.policy import Policy
from jobs.state import JobError, Note, Progress
from jobs.store_memory import MemoryJobStore
from tests.unit.worker_parts import QUEUE, Clock, new_job


def shown(store: MemoryJobStore) -> list[tuple[str, int | None, str]]:
    view = job_log_view(store.get("job_0001"), store.events("job_0001"), store.notes("job_0001"))
    return [(line.level, line.attempt, line.message) for line in view.lines]


def note(text: str, at: float = 0, *, attempt: int = 1, level: str = "info") -> Note:
    return Note(at, level, attempt, text)


def test_it_tells_every_event_but_progress_with_the_notes_of_each_attempt_within_it():
    clock = Clock()
    store = MemoryJobStore(Policy(), clock)
    store.submit(new_job())
    job = store.claim(QUEUE, "gpu0@a")
    assert job
    store.heartbeat(job.lease, Progress("denoising", 1, 4))
    store.annotate(job.id, [note("Loading")], 0)
    store.retry(job.lease, JobError("worker_lost", "It died."))
    again = store.claim(QUEUE, "gpu1@b")
    assert again
    store.annotate(job.id, [note("late, and by a clock that is fast", 99)], 0)
    store.annotate(job.id, [note("by a clock that is slow", -99, attempt=2)], 0)
    clock.sleep(1)
    store.cancel(job.id)
    clock.sleep(1)
    store.annotate(job.id, [note("stopping", attempt=2)], 0)
    store.release(again.lease)
    assert shown(store) == [
        ("info", None, "Queued"),
        ("info", 1, "Attempt 1 begins at worker gpu0@a"),
        ("info", 1, "Loading"),
        ("info", 1, "late, and by a clock that is fast"),
        ("warning", 1, "Attempt 1 ended unfinished, queued again: worker_lost: It died."),
        ("info", 2, "Attempt 2 begins at worker gpu1@b"),
        ("info", 2, "by a clock that is slow"),
        ("info", None, "A cancel was asked for"),
        ("info", 2, "stopping"),
        ("info", 2, "Cancelled"),
    ]


def test_notes_of_the_running_attempt_come_last():
    store = MemoryJobStore(Policy(), Clock())
    store.submit(new_job())
    job = store.claim(QUEUE, "gpu0@a")
    assert job
    store.annotate(job.id, [note("Loading"), note("Loaded", 1, level="warning")], 1)
    assert shown(store)[2:] == [("info", 1, "Loading"), ("warning", 1, "Loaded")]


def test_a_job_that_was_given_back_or_failed_says_so():
    store = MemoryJobStore(Policy(), Clock())
    store.submit(new_job())
    first = store.claim(QUEUE, "gpu0@a")
    assert first
    store.release(first.lease)
    second = store.claim(QUEUE, "gpu0@a")
    assert second
    store.fail(second.lease, JobError("model_broke", "Not today."))
    assert shown(store)[2] == ("info", 1, "Attempt 1 ended unfinished, queued again")
    assert shown(store)[-1] == ("error", 2, "Failed: model_broke: Not today.")


def test_a_completed_job_tells_what_its_metrics_know():
    store = MemoryJobStore(Policy(), Clock())
    store.submit(new_job())
    job = store.claim(QUEUE, "gpu0@a")
    assert job
    store.annotate(job.id, [note("Loading"), note("Once more with less memory", level="warning")], 0)
    metrics = {"load_seconds": 31.42, "denoise_seconds": 612.3, "upload_seconds": 0.31, "memory_plan": "x"}
    store.succeed(job.lease, {"frames": 81, "size": 4_194_304, "metrics": metrics})
    assert shown(store)[2:] == [
        ("warning", 1, "Once more with less memory"),
        (
            "info",
            1,
            "Completed, loaded in 31.4 s, denoised in 612.3 s, stored in 0.3 s, 81 frames, 4.2 MB",
        ),
    ]
