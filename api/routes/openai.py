"""OpenAI's video API: ``/v1/videos`` and ``/v1/models``."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Set as AbstractSet
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

from anyio import to_thread
from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, Field

from api.answer import answer
from api.body import read_json
from api.eta import poll_seconds
from api.form import MEDIA_TYPE as MULTIPART
from api.form import URL_ENCODED
from api.idempotency import PARAMETER, Reservation
from api.links import Links
from api.names import JOB_ID_PATTERN, check_job_id
from api.openai.fields import (
    CreateVideo,
    Extension,
    FileExtension,
    Remix,
    Translation,
    in_client_terms,
    translated,
)
from api.openai.models import Model, ModelPage, model_of, model_page
from api.openai.receive import received_fields
from api.openai.remix import Derived, appended, continued, remixed
from api.openai.video import DeletedVideo, Video, VideoList, video_of
from api.openapi import BINARY, DOWNLOAD, PROBLEMS, RANGE
from api.parts import Parts, parts_of
from api.principal import principal_of
from api.refusals import NotOfferedError
from api.stills import still_of
from api.submission import submit
from api.video import video_response
from jobs.keys import TENANT_PATTERN
from jobs.scratch import scratch
from jobs.state import Job, JobFilter
from wan_models.catalog import ModelSpec
from wan_models.media import MediaKind
from wan_models.stills import Still

router = APIRouter(prefix="/v1", tags=["openai"], responses=PROBLEMS)

_MEDIA = {Still.THUMBNAIL: "image/webp", Still.SPRITESHEET: "image/jpeg"}
_REFERENCE = {"schema": {"$ref": "#/components/schemas/CreateVideo"}}
_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": dict.fromkeys(("application/json", MULTIPART, URL_ENCODED), _REFERENCE),
    },
    "parameters": [PARAMETER],
}
_EXTENSION: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            kind: {"schema": {"$ref": "#/components/schemas/Extension"}}
            for kind in ("application/json", MULTIPART, URL_ENCODED)
        },
    },
    "parameters": [PARAMETER],
}
_REMIX: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Remix"}}},
    },
    "parameters": [PARAMETER],
}
_CONTENT: dict[int | str, dict[str, Any]] = {
    **DOWNLOAD,
    200: {
        "description": "The whole video, or a picture of it.",
        "content": dict.fromkeys(("video/mp4", *_MEDIA.values()), BINARY),
    },
    307: {"description": "The video is at this address of the bucket, for an hour."},
}
_REDIRECT_SECONDS = 3600


class ListQuery(BaseModel, extra="forbid"):
    """Which page of the list: ``after`` is the ``last_id`` of the page in front of it."""

    limit: Annotated[int, Field(ge=1, le=100)] = 20
    after: Annotated[str | None, Field(pattern=JOB_ID_PATTERN)] = None
    order: Literal["asc", "desc"] = "desc"
    tenant: Annotated[str | None, Field(pattern=TENANT_PATTERN, description="For admins.")] = None


class ContentQuery(BaseModel, extra="forbid"):
    """Which file of a video."""

    variant: Literal["video", "thumbnail", "spritesheet"] = "video"


@router.post("/videos", response_model=Video, openapi_extra=_BODY)
async def create_openai_video(request: Request) -> Response:
    """Queue a video. Takes OpenAI's fields and those that vLLM-Omni and SGLang add to them."""
    parts = parts_of(request)
    intake, tenant = parts.intake, principal_of(request).tenant
    async with (
        parts.reservations.of(request, parts.store) as reservation,
        received_fields(request, intake) as (fields, files),
    ):
        asked = CreateVideo.model_validate(fields)
        translation = await to_thread.run_sync(_translation, asked, files.keys(), parts)
        work = partial(
            submit,
            translation.body,
            parts,
            reservation,
            files=files,
            tenant=tenant,
            warnings=translation.warnings,
        )
        with in_client_terms(asked.others):
            job = await to_thread.run_sync(
                work, limiter=intake.threads[tenant] if translation.body.given else None
            )
    return _answer(job, request)


@router.get("/videos", response_model=VideoList)
def list_openai_videos(query: Annotated[ListQuery, Query()], request: Request) -> Response:
    """Videos, newest first unless `order` is `asc`."""
    found = parts_of(request).store.find(
        JobFilter(tenant=query.tenant), query.limit + 1, query.after, oldest_first=query.order == "asc"
    )
    links = Links(request)
    shown = [video_of(job, links) for job in found[: query.limit]]
    return answer(
        VideoList(
            data=shown,
            first_id=shown[0].id if shown else None,
            last_id=shown[-1].id if shown else None,
            has_more=len(found) > len(shown),
        )
    )


@router.get("/videos/{video_id}", response_model=Video)
def get_openai_video(video_id: str, request: Request) -> Response:
    """One video as it is now. One that failed is a 200 that says so."""
    return _answer(parts_of(request).store.get(check_job_id(video_id)), request)


@router.delete("/videos/{video_id}", response_model=DeletedVideo)
def delete_openai_video(video_id: str, request: Request) -> Response:
    """Delete a video and its record. One that is still queued or being made is cancelled instead."""
    parts = parts_of(request)
    job = parts.store.get(check_job_id(video_id))
    if not job.state.is_final:
        job = parts.store.cancel(job.id)
    if job.state.is_final:
        for artifact in parts.artifacts.find(f"{job.id}/"):
            parts.artifacts.delete(artifact.key)
        parts.store.remove(job.id)
    return answer(DeletedVideo(id=job.id))


@router.get("/videos/{video_id}/content", responses=_CONTENT, response_class=Response, openapi_extra=RANGE)
async def get_openai_content(
    video_id: str, query: Annotated[ContentQuery, Query()], request: Request
) -> Response:
    """Download the video, a range of its bytes, a thumbnail, or a sheet of its frames."""
    parts = parts_of(request)
    job = await to_thread.run_sync(parts.store.get, check_job_id(video_id))
    if query.variant == "video":
        return await to_thread.run_sync(_video, job, request, parts)
    still = Still(query.variant)
    make = partial(still_of, job, still, parts.artifacts)
    picture = await to_thread.run_sync(make, limiter=parts.intake.threads[principal_of(request).tenant])
    return Response(picture, media_type=_MEDIA[still])


@router.post("/videos/{video_id}/remix", response_model=Video, openapi_extra=_REMIX)
async def remix_openai_video(video_id: str, request: Request) -> Response:
    """Make a video like another one, with another prompt: same model, size, length, settings and seed."""
    parts = parts_of(request)
    asked = Remix.model_validate(await read_json(request, parts.intake.patience))
    return await _derive(request, parts, partial(_remixed, asked, video_id, parts))


@router.post("/videos/extensions", response_model=Video, openapi_extra=_EXTENSION)
async def extend_openai_video(request: Request) -> Response:
    """Go on where a video ends, one of this service or a file. The new video holds both."""
    parts = parts_of(request)
    async with received_fields(request, parts.intake, {"video": "video"}) as (fields, files):
        if files:
            make = partial(_extended_file, FileExtension.model_validate(fields), files["video"], parts)
        else:
            make = partial(_extended, Extension.model_validate(fields), parts)
        return await _derive(request, parts, make)


@router.post("/videos/edits", include_in_schema=False)
async def edit_openai_video() -> Response:
    """What OpenAI's SDK has beside; by the route of a single video it would be told of a wrong method."""
    raise NotOfferedError("Edits", "POST /v1/videos/{video_id}/remix makes a video like another one.")


@router.post("/videos/characters", include_in_schema=False)
@router.get("/videos/characters/{character_id}", include_in_schema=False)
async def openai_characters() -> Response:
    """The same."""
    raise NotOfferedError("Characters", "POST /v1/videos takes a picture of one as input_reference.")


@router.get("/models", response_model=ModelPage)
def list_openai_models(request: Request) -> Response:
    """The models that are installed."""
    return answer(model_page(parts_of(request)))


@router.get("/models/{model:path}", response_model=Model)  # names of repositories have a slash
def get_openai_model(model: str, request: Request) -> Response:
    """One of the installed models."""
    return answer(model_of(model, parts_of(request)))


async def _derive(request: Request, parts: Parts, make: Callable[..., Derived]) -> Response:
    """Submit what is made of a video."""
    tenant = principal_of(request).tenant

    def work(reservation: Reservation | None) -> Job:
        with scratch("derived") as folder, in_client_terms():
            derived = make(folder=folder)
            return submit(
                derived.body,
                parts,
                reservation,
                files=derived.files,
                tenant=tenant,
                remixed_from=derived.source,
                video=derived.video,
            )

    async with parts.reservations.of(request, parts.store) as reservation:
        job = await to_thread.run_sync(work, reservation, limiter=parts.intake.threads[tenant])
    return _answer(job, request)


def _video(job: Job, request: Request, parts: Parts) -> Response:
    if parts.redirects and job.result and (url := _presigned(job, parts)):
        return Response(status_code=307, headers={"location": url, "cache-control": "no-store"})
    return video_response(job, parts.artifacts, request.method, request.headers)


def _translation(asked: CreateVideo, files: AbstractSet[str], parts: Parts) -> Translation:
    """Made in a thread: which models are installed may have to be read from the disk."""
    return translated(asked, files, partial(_is_offered, parts), tiny=_is_tiny(parts))


def _remixed(asked: Remix, video_id: str, parts: Parts, folder: Path) -> Derived:
    source = parts.store.get(check_job_id(video_id))
    return remixed(source, asked.prompt, parts.artifacts, tiny=_is_tiny(parts), folder=folder)


def _extended(asked: Extension, parts: Parts, folder: Path) -> Derived:
    source = parts.store.get(check_job_id(asked.video.id))
    return continued(source, asked.prompt, asked.seconds, parts.artifacts, folder=folder, **_able(parts))


def _extended_file(asked: FileExtension, file: Path, parts: Parts, folder: Path) -> Derived:
    video = parts.intake.gatherer.checked("video", MediaKind.VIDEO, file, folder)
    return appended(video, asked.prompt, asked.seconds, folder=folder, **_able(parts))


def _able(parts: Parts) -> dict[str, Any]:
    return {"is_offered": partial(_is_offered, parts), "tiny": _is_tiny(parts)}


def _is_offered(parts: Parts, spec: ModelSpec) -> bool:
    return spec.pipeline is not None and spec.id in parts.models.get()


def _is_tiny(parts: Parts) -> bool:
    """Whether tiny models are what is installed, which take small sizes as well."""
    return any(model.tiny for model in parts.models.get().values())


def _presigned(job: Job, parts: Parts) -> str | None:
    return parts.artifacts.presign(job.result["artifact"], _REDIRECT_SECONDS) if job.result else None


def _answer(job: Job, request: Request) -> Response:
    """The video object, with the time to poll again as the SDK understands it."""
    video = video_of(job, Links(request))
    if job.state.is_final:
        return answer(video)
    seconds = poll_seconds(parts_of(request).load.eta(job))
    return answer(video, headers={"openai-poll-after-ms": str(seconds * 1000), "retry-after": str(seconds)})
