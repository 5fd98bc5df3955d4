"""The objects this gateway answers with. docs/api.md describes them field by field."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from jobs.state import JobState, Priority
from routing.route import Route


class View(BaseModel):
    """Base of every answer. Times are UTC, in ISO 8601 with a Z."""

    model_config = ConfigDict(frozen=True)


class ErrorView(View):
    """Why a job or its latest attempt ended badly."""

    code: Annotated[str, Field(description="Stable, for programs.")]
    message: Annotated[str, Field(description="A sentence, for people.")]


class AttemptView(View):
    """One start of a job on a worker."""

    attempt: Annotated[int, Field(description="From 1.")]
    worker: Annotated[str, Field(description="As place@host.")]
    started_at: datetime
    ended_at: Annotated[datetime | None, Field(description="Null while it runs.")]
    error: Annotated[ErrorView | None, Field(description="Null unless it ended badly.")]


class JobView(View):
    """A job as clients see it."""

    id: str
    tenant: Annotated[str, Field(description="Whom the job belongs to.")]
    task: Annotated[str, Field(description="The model that makes the video, see `/models`.")]
    status: JobState
    progress: Annotated[int, Field(ge=0, le=100, description="Percent of steps; 100 only when completed.")]
    step: Annotated[int, Field(description="Denoising steps done by the running attempt.")]
    steps: Annotated[int, Field(description="Denoising steps in all.")]
    stage: Annotated[
        str | None,
        Field(
            description="What the worker is doing: `loading`, `denoising`, `decoding`, `encoding` or "
            "`uploading`; null unless in progress."
        ),
    ]
    queue_position: Annotated[int | None, Field(description="1 is next; null unless it stands in line.")]
    eta_seconds: Annotated[int | None, Field(description="Until the video is there; null when unknown.")]
    priority: Priority
    attempt: Annotated[int, Field(description="How often a worker has started it.")]
    attempts: Annotated[list[AttemptView], Field(description="Each of those starts, oldest first.")]
    created_at: datetime
    started_at: Annotated[datetime | None, Field(description="Start of the running or the last attempt.")]
    finished_at: Annotated[datetime | None, Field(description="Set once the status is final.")]
    cancel_requested_at: Annotated[datetime | None, Field(description="When a cancel was asked for.")]
    not_before: Annotated[
        datetime | None, Field(description="Waiting after a failed attempt: in line again then.")
    ]
    queue_deadline: Annotated[
        datetime | None, Field(description="Still waiting for a first start then: expired.")
    ]
    timeout: Annotated[float | None, Field(description="Seconds that one attempt may take.")]
    expires_at: Annotated[datetime | None, Field(description="When the record and the video are removed.")]
    video_path: Annotated[str, Field(description="Where the video is served once it is there.")]
    video_url: Annotated[str | None, Field(description="The same, absolute; null until completed.")]
    preview_url: Annotated[
        str | None, Field(description="A small picture of what is being made, where one was asked for.")
    ]
    error: ErrorView | None
    warnings: Annotated[list[str], Field(description="What was taken otherwise than it was asked for.")]
    metrics: Annotated[dict[str, Any] | None, Field(description="What the worker measured.")]
    request: Annotated[dict[str, Any], Field(description="The request with every default filled in.")]


class JobPage(View):
    """One page of jobs, newest first."""

    jobs: list[JobView]
    next: Annotated[str | None, Field(description="Pass it as `before` to get the next page.")]


class JobLogLine(View):
    """Something that happened to a job, in words."""

    at: datetime
    level: Annotated[Literal["info", "warning", "error"], Field(description="How bad it is.")]
    attempt: Annotated[int | None, Field(description="Which start of the job it belongs to.")]
    message: str


class JobLogView(View):
    """What happened to a job, oldest first: all its events, and the last notes of its workers."""

    job_id: str
    lines: list[JobLogLine]


BatchStatus = Literal["queued", "in_progress", "completed", "partial", "failed", "cancelled"]


class BatchView(View):
    """Jobs that were asked for together."""

    id: str
    status: Annotated[
        BatchStatus,
        Field(description="`partial`: all have ended, and only some are completed."),
    ]
    progress: Annotated[int, Field(description="Percent; what has ended counts as done.")]
    total: Annotated[int, Field(description="Jobs that were asked for.")]
    counts: Annotated[dict[str, int], Field(description="Jobs by their status.")]
    jobs: Annotated[list[JobView], Field(description="In the order of prompts, then of seeds.")]


class VideoView(View):
    """A finished video."""

    filename: str
    job_id: str
    task: str
    prompt: str
    width: int
    height: int
    frames: int
    fps: float
    size: Annotated[int, Field(description="Bytes.")]
    sha256: str
    created_at: Annotated[datetime, Field(description="When the video was finished.")]
    expires_at: datetime
    video_path: str
    video_url: str


class VideoPage(View):
    """One page of videos, newest job first."""

    videos: list[VideoView]
    next: Annotated[str | None, Field(description="Pass it as `before` to get the next page.")]


class UploadView(View):
    """A file that waits to be used."""

    id: str
    asset: Annotated[str, Field(description="What a request names it by.")]
    kind: Annotated[str, Field(description="`image`, `audio`, `video` or `archive`.")]
    media_type: Annotated[str, Field(description="Told by its bytes.")]
    size: Annotated[int, Field(description="Bytes.")]
    expires_at: Annotated[datetime, Field(description="When it is removed, used or not.")]


class PresignRequest(BaseModel):
    """The body of ``POST /uploads/presign``: what is going to be uploaded."""

    model_config = ConfigDict(extra="forbid")

    size: Annotated[int, Field(strict=True, ge=1, le=2**40, description="Bytes of the file, exactly.")]


class PresignedUpload(View):
    """Where to send a file; it can be used once it is there."""

    id: str
    asset: Annotated[str, Field(description="What a request names it by.")]
    url: str
    method: str
    headers: Annotated[dict[str, str], Field(description="To be sent with the file.")]
    expires_at: Annotated[datetime, Field(description="When it is removed, used or not.")]


class Range(View):
    """Least and greatest accepted value."""

    minimum: int | float
    maximum: int | float


class FrameRange(View):
    """Accepted frame counts: ``step * n + offset`` from minimum to maximum."""

    minimum: int
    maximum: int
    step: int
    offset: int


class Defaults(View):
    """What a request gets for each field that it leaves out."""

    size: str
    frame_num: int
    sample_steps: int
    sample_guide_scale: Annotated[tuple[float, float], Field(description="Low-noise, high-noise expert.")]
    sample_shift: float
    fps: int
    negative_prompt: str
    expires_in: Annotated[float, Field(description="Seconds it waits for a worker at most.")]
    timeout: Annotated[float, Field(description="Seconds that one attempt may take.")]


class Limits(View):
    """What a request may ask for."""

    prompt_characters: int
    frame_num: FrameRange
    sample_steps: Range
    sample_guide_scale: Range
    sample_shift: Range
    fps: Range
    base_seed: Range


class PresetView(View):
    """What a preset sets where the request does not."""

    size: str
    frame_num: int
    sample_steps: int


class LoraView(View):
    """An adapter that requests may name."""

    name: str
    title: str
    strength: Annotated[float, Field(description="Used where the request names none.")]
    strengths: Annotated[Range, Field(description="What a request may ask for.")]
    sample_steps: Annotated[int | None, Field(description="Its own default, in place of the model's.")]


class ModelView(View):
    """One of the Wan tasks, and how this service stands to it."""

    id: str
    title: str
    kind: str
    accepts: Annotated[list[str], Field(description="Kinds of request it can serve.")]
    installed: Annotated[bool, Field(description="All of its files are there, or an engine has it.")]
    verified: Annotated[bool, Field(description="Their digests were checked when it was installed.")]
    engine: Annotated[str | None, Field(description="Server that makes its videos; null for our own.")]
    tiny: Annotated[bool, Field(description="Randomly initialised: it paints noise, in seconds.")]
    available: Annotated[bool, Field(description="Installed, and this version can run it.")]
    sizes: Annotated[list[str], Field(description="Accepted sizes, width*height.")]
    defaults: Defaults
    limits: Limits
    presets: Annotated[dict[str, PresetView], Field(description="By the name for `preset`.")]
    loras: Annotated[list[LoraView], Field(description="Adapters installed for it.")]
    workers: Annotated[int, Field(description="Live workers that take its jobs.")]
    queued: Annotated[int, Field(description="Jobs that wait for it.")]
    parameters_b: Annotated[float, Field(description="1e9 parameters of its diffusion transformers.")]
    disk_gb: Annotated[float, Field(description="Size of the download, in 1e9 bytes.")]
    memory_gb: Annotated[float, Field(description="GPU memory its authors ask for, in 1e9 bytes.")]
    repository: Annotated[str, Field(description="Where the weights come from.")]
    install: Annotated[str | None, Field(description="The command that installs it; null when it is.")]


class ModelList(View):
    """Every task of the catalog."""

    models: list[ModelView]


class Health(View):
    """Whether the parts answer. ``workers`` is null while the store does not."""

    status: Annotated[
        Literal["ok", "degraded", "unavailable"],
        Field(description="`unavailable` without the store, `degraded` without the artifact store."),
    ]
    version: str
    store: Literal["ok", "unavailable"]
    artifacts: Literal["ok", "unavailable"]
    workers: Annotated[dict[str, int] | None, Field(description="Live workers that take jobs, by task.")]


class Probe(View):
    """What a supervisor or a load balancer is told."""

    status: Literal["ok", "unavailable"]


class RouteView(Route):
    """A route, and what came of it where it was carried out."""

    job: Annotated[JobView | None, Field(description="The job that `execute` started.")] = None
    answer: Annotated[Any, Field(description="What the neighbouring service answered to `execute`.")] = None


class FieldError(View):
    """One thing that is wrong with a request."""

    field: Annotated[str, Field(description="As the client wrote it; `body` for the body as a whole.")]
    message: str


class SdkError(View):
    """The same problem, as clients of OpenAI-style services read it."""

    message: str
    type: str
    param: str | None
    code: str


class Problem(View):
    """Every error answer: RFC 9457 problem details, with two members for other dialects' clients."""

    type: Annotated[str, Field(description="`urn:wanserve:problem:<code>`.")]
    title: str
    status: int
    detail: str
    errors: list[FieldError]
    error: SdkError
    error_type: Annotated[str, Field(description="The code again.")]
