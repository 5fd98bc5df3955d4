"""A job as OpenAI's video object, with the members that other servers add to it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from api.links import Links
from api.names import video_filename, video_path
from api.present import percent
from api.schemas import View
from jobs.state import Job, JobState

# OpenAI knows four states. Its SDK stops polling at any other as well, and `cancelled` says more.
_STATUS = {JobState.EXPIRED: "failed"}
_CODES = {"expired": "deadline_exceeded"}


class VideoError(View):
    """Why there is no video."""

    code: str
    message: str


class Video(View):
    """OpenAI's video object. Times are Unix seconds."""

    id: str
    object: Literal["video"] = "video"
    model: str
    status: Literal["queued", "in_progress", "completed", "failed", "cancelled"]
    progress: Annotated[int, Field(ge=0, le=100)]
    created_at: int
    completed_at: int | None
    expires_at: int | None
    prompt: str
    size: Annotated[str, Field(examples=["1280x720"])]
    seconds: Annotated[str, Field(examples=["5"])]
    remixed_from_video_id: str | None
    error: VideoError | None
    queue_position: Annotated[int | None, Field(description="1 is next; null unless it stands in line.")]
    media_type: Literal["video/mp4"] = "video/mp4"
    file_name: str
    url: Annotated[str | None, Field(description="Where the video is served; null until completed.")]
    inference_time_s: Annotated[
        float | None, Field(description="From the claim to the end, without the wait.")
    ]
    # Benchmarks compute with these two and take no null for an answer.
    stage_durations: Annotated[
        dict[str, float], Field(description="Seconds by stage; empty until it is completed.")
    ]
    peak_memory_mb: Annotated[
        float, Field(description="Of the GPU, in 1e6 bytes; 0 until known, and on a CPU.")
    ]
    warnings: Annotated[list[str], Field(description="What was taken otherwise than it was written.")]


class VideoList(View):
    """One page of videos."""

    object: Literal["list"] = "list"
    data: list[Video]
    first_id: str | None
    last_id: str | None
    has_more: bool


class DeletedVideo(View):
    """A video that is gone, or is not made any more."""

    id: str
    object: Literal["video.deleted"] = "video.deleted"
    deleted: Literal[True] = True


def video_of(job: Job, links: Links) -> Video:
    """A job in OpenAI's words, in any state."""
    spec, metrics = job.spec, (job.result or {}).get("metrics") or {}
    ended = job.state in (JobState.FAILED, JobState.EXPIRED, JobState.CANCELLED)
    return Video.model_construct(
        id=job.id,
        model=job.queue,
        status=_STATUS.get(job.state, job.state.value),  # type: ignore[arg-type] # the rest have these names
        progress=percent(job),
        created_at=int(job.created_at),
        completed_at=int(job.finished_at) if job.result and job.finished_at else None,
        expires_at=None if job.expires_at is None else int(job.expires_at),
        prompt=spec["prompt"],
        size=_size(job),
        seconds=_seconds(job),
        remixed_from_video_id=spec.get("remixed_from"),
        error=_error(job) if ended else None,
        queue_position=None if job.ahead is None else job.ahead + 1,
        file_name=video_filename(job.id),
        url=links.absolute(video_path(job.id)) if job.state is JobState.COMPLETED else None,
        inference_time_s=_run_seconds(job),
        stage_durations=_stages(metrics),
        peak_memory_mb=metrics.get("peak_memory_mb") or 0,
        warnings=list(spec.get("warnings", ())),
    )


def _error(job: Job) -> VideoError:
    if job.error is None:
        return VideoError(code=str(job.state), message="The job was cancelled.")
    return VideoError(code=_CODES.get(job.error.code, job.error.code), message=job.error.message)


def _size(job: Job) -> str:
    made = job.result or job.spec
    return f"{made['width']}x{made['height']}"


def _seconds(job: Job) -> str:
    """The length as clients ask for it: Wan makes one frame more than so many seconds have."""
    made = job.result or {"frames": job.spec["frame_num"], "fps": job.spec["fps"]}
    return f"{round((made['frames'] - 1) / made['fps'], 2):g}"


def _run_seconds(job: Job) -> float | None:
    if job.result is None or job.finished_at is None or job.started_at is None:
        return None
    return round(job.finished_at - job.started_at, 3)


def _stages(metrics: dict[str, Any]) -> dict[str, float]:
    return {
        name.removesuffix("_seconds"): value
        for name, value in metrics.items()
        if name.endswith("_seconds") and value is not None
    }
