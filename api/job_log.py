"""What happened to a job, for its owner to read: its events in words, and what workers noted between them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from api.schemas import JobLogLine, JobLogView
from jobs.state import Event, Job, JobState, Note

_ENDS = {
    JobState.COMPLETED: ("info", "Completed"),
    JobState.CANCELLED: ("info", "Cancelled"),
    JobState.FAILED: ("error", "Failed"),
    JobState.EXPIRED: ("error", "Expired"),
}

_WORTH = 0.05  # seconds; what took less is not worth a word
_STAGES = {
    "load_seconds": "loaded",
    "denoise_seconds": "denoised",
    "decode_seconds": "decoded",
    "encode_seconds": "encoded",
    "upload_seconds": "stored",
}


def job_log_view(job: Job, events: Sequence[Event], notes: Sequence[Note]) -> JobLogView:
    """The log of a job. Notes of an attempt stand within it, whatever their times say."""
    told = [event for event in events if event.type != "progress"]
    events_placed = [(place, 1, event.at, _event_line(event, job)) for place, event in enumerate(told)]
    notes_placed = [(_place(note, told), 0, note.at, _note_line(note)) for note in notes]
    placed = sorted([*events_placed, *notes_placed], key=lambda entry: entry[:3])
    return JobLogView(job_id=job.id, lines=[line for *_, line in placed])


def _place(note: Note, told: Sequence[Event]) -> int:
    """The number of the event that a note stands before: the end of its attempt, or something earlier."""
    running = False
    for place, event in enumerate(told):
        if event.type == JobState.IN_PROGRESS and event.data["attempt"] == note.attempt:
            running = True
        elif running and (event.type in set(JobState) or event.at >= note.at):
            return place
    return len(told)


def _note_line(note: Note) -> JobLogLine:
    return JobLogLine(at=_utc(note.at), level=note.level, attempt=note.attempt, message=note.text)


def _event_line(event: Event, job: Job) -> JobLogLine:
    level, message = _told(event)
    if event.type == JobState.COMPLETED:
        message += _figures(job)
    return JobLogLine(at=_utc(event.at), level=level, attempt=event.data.get("attempt"), message=message)


def _told(event: Event) -> tuple[str, str]:
    """How bad an event is, and what it is in words."""
    error, attempt = event.data.get("error"), event.data.get("attempt")
    why = f": {error['code']}: {error['message']}" if error else ""
    if event.type in _ENDS:
        level, message = _ENDS[JobState(event.type)]
        return level, message + why
    if event.type == JobState.IN_PROGRESS:
        return "info", f"Attempt {attempt} begins at worker {event.data['worker']}"
    if event.type == JobState.QUEUED and attempt is None:
        return "info", "Queued"
    if event.type == JobState.QUEUED:
        return "warning" if error else "info", f"Attempt {attempt} ended unfinished, queued again{why}"
    return "info", "A cancel was asked for"


def _figures(job: Job) -> str:
    """What the result tells of a completed job, in place of the notes of what went well."""
    result = job.result or {}
    took = result.get("metrics", {})
    stages = [
        f"{what} in {took[name]:.1f} s" for name, what in _STAGES.items() if took.get(name, 0) >= _WORTH
    ]
    if "frames" in result and "size" in result:
        stages.append(f"{result['frames']} frames, {result['size'] / 1e6:.1f} MB")
    return "".join(f", {stage}" for stage in stages)


def _utc(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
