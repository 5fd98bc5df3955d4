"""Sending files ahead of the jobs that use them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

from anyio import open_file, to_thread
from fastapi import APIRouter, Request, Response

from api.answer import answer
from api.body import body_chunks, media_type, read_json
from api.form import MEDIA_TYPE as FORM
from api.form import read_form
from api.inputs.intake import Intake
from api.inputs.receive import save
from api.openapi import PROBLEMS
from api.parts import parts_of
from api.principal import principal_of
from api.query import StrictRoute
from api.refusals import PresignUnavailableError, UnsupportedMediaTypeError
from api.schemas import PresignedUpload, PresignRequest, UploadView
from jobs.disks import full_disk_told
from jobs.scratch import scratch
from wan_models.errors import InvalidRequestError
from wan_models.media import FORMATS, HEAD_BYTES, Format, sniff

router = APIRouter(prefix="/uploads", tags=["inputs"], responses=PROBLEMS, route_class=StrictRoute)

_FIELD = "file"
_PRESIGN_SECONDS = 3600
# What a page of another site may send without asking the browser's leave first; beside forms, whose
# origin is checked elsewhere.
_FORGEABLE = ("", "text/plain", "application/x-www-form-urlencoded")
_BINARY = {"type": "string", "format": "binary"}
_FILE: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            FORM: {"schema": {"type": "object", "required": [_FIELD], "properties": {_FIELD: _BINARY}}},
            "application/octet-stream": {"schema": _BINARY},
        },
    }
}
_PRESIGN: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/PresignRequest"}}},
    }
}


@router.post("", status_code=201, response_model=UploadView, openapi_extra=_FILE)
async def upload(request: Request) -> Response:
    """Store a file, sent as the body itself or as `file` in a form, for jobs that will name it."""
    intake, tenant = parts_of(request).intake, principal_of(request).tenant
    async with _received(request, intake) as file:
        work = partial(_store, file, tenant, intake)
        view = await to_thread.run_sync(work, limiter=intake.threads[tenant])
    return answer(view, status=201)


@router.post("/presign", status_code=201, response_model=PresignedUpload, openapi_extra=_PRESIGN)
async def presign(request: Request) -> Response:
    """Get a URL that takes a file by PUT, straight into the artifact store, for jobs that will name it."""
    intake = parts_of(request).intake
    wanted = PresignRequest.model_validate(await read_json(request, intake.patience))
    if wanted.size > intake.max_bytes:
        raise InvalidRequestError("size", f"{intake.max_bytes} bytes are the most that are allowed here.")
    asset = intake.assets.new()
    tenant = principal_of(request).tenant
    url = await to_thread.run_sync(intake.assets.presign, asset, tenant, wanted.size, _PRESIGN_SECONDS)
    if url is None:
        raise PresignUnavailableError
    view = PresignedUpload(
        id=asset.id,
        asset=asset.uri,
        url=url,
        method="PUT",
        headers={"content-length": str(wanted.size)},
        expires_at=asset.expires_at,
    )
    return answer(view, status=201)


@asynccontextmanager
async def _received(request: Request, intake: Intake) -> AsyncIterator[Path]:
    """The one file of a request, on disk for as long as the context lasts."""
    declared = media_type(request)[0]
    if declared in _FORGEABLE:
        raise UnsupportedMediaTypeError(declared, (FORM, "application/octet-stream"))
    intake.disks.check()
    with full_disk_told(), scratch("upload") as folder:
        file = folder / "file"
        if declared == FORM:
            async with read_form(request, intake) as form:
                for name in (*form.files, *form.fields):
                    if name != _FIELD:
                        raise InvalidRequestError(name[:64], "There is no such field.")
                if _FIELD not in form.files:
                    raise InvalidRequestError(_FIELD, "This field is required, as a file.")
                await to_thread.run_sync(save, form.files[_FIELD], file)
        else:
            async with await open_file(file, "xb") as opened:
                async for chunk in body_chunks(request, intake.max_bytes, intake.patience):
                    await opened.write(chunk)
        yield file


def _store(file: Path, tenant: str, intake: Intake) -> UploadView:
    found, size, asset = _format(file), file.stat().st_size, intake.assets.new()
    intake.assets.put(asset, tenant, file)
    return UploadView(
        id=asset.id,
        asset=asset.uri,
        kind=found.kind,
        media_type=found.media_type,
        size=size,
        expires_at=asset.expires_at,
    )


def _format(file: Path) -> Format:
    with file.open("rb") as opened:
        found = sniff(opened.read(HEAD_BYTES))
    if found is None:
        known = ", ".join(format_.media_type for format_ in FORMATS.values())
        raise InvalidRequestError(_FIELD, f"The file is none of {known}.")
    return found
