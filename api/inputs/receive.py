"""From an HTTP request, in JSON or as a form, to a checked body and the files that came with it."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

from anyio import to_thread
from starlette.datastructures import UploadFile
from starlette.requests import Request

from api.body import is_json, media_type, read_json
from api.form import FORMS, JSON_OR_FORMS, read_form, typed_fields
from api.inputs.intake import Intake
from api.refusals import UnsupportedMediaTypeError
from jobs.scratch import scratch
from wan_models.bodies import VideoBody
from wan_models.errors import InvalidRequestError

B = TypeVar("B", bound=VideoBody)

_FROM_FORM = "form:"  # stands for a file that came with the request; nothing else can be named so


@asynccontextmanager
async def received(
    kind: type[B], request: Request, intake: Intake
) -> AsyncIterator[tuple[B, Mapping[str, Path]]]:
    """The body of a request, and its files by the field of the body that each is for.

    A file may come under the field's name or under that of its input: ``image_path`` or ``image``.

    Raises:
        RefusedError: the body cannot be read; the subclasses say why.
        ValidationError: a field of it is wrong.
        InvalidRequestError: a field is wrong, was sent twice, or takes no file.
        DiskFullError: there is no room for its files.
    """
    declared = media_type(request)[0]
    if not is_json(declared) and declared not in FORMS:
        raise UnsupportedMediaTypeError(declared, JSON_OR_FORMS)
    if declared not in FORMS:
        yield kind.model_validate(await read_json(request, intake.patience)), {}
        return
    async with read_form(request, intake) as form:
        with scratch("form") as folder:
            files = {}
            for name, upload in form.files.items():
                field = _field_of(kind, name)
                if field in files or field in form.fields:
                    raise InvalidRequestError(field, "It was sent twice.")
                files[field] = folder / field
                await to_thread.run_sync(save, upload, files[field])
            named = {field: f"{_FROM_FORM}{field}" for field in files}
            yield kind.model_validate(typed_fields(kind, form.fields) | named), files


def _field_of(kind: type[VideoBody], name: str) -> str:
    """The field that a file is for."""
    for field, input_name in kind.sources.items():
        if name in (field, input_name, field.removesuffix("_path")):
            return field
    raise InvalidRequestError(name[:64], "This field takes no file.")


def save(upload: UploadFile, to: Path) -> None:
    """Copy a file of a form to a place of its own."""
    with to.open("xb") as file:
        shutil.copyfileobj(upload.file, file)
