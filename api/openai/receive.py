"""Reading a request of the dialect, in JSON or as a form, into the fields and files that it brings."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from anyio import to_thread
from starlette.requests import Request

from api.body import BODY, SEND_OBJECT, is_json, media_type, read_json
from api.form import FORMS, JSON_OR_FORMS, read_form
from api.inputs.intake import Intake
from api.inputs.receive import save
from api.openai.fields import ACCEPTED_FILES, unwrapped
from api.refusals import UnsupportedMediaTypeError
from jobs.scratch import scratch
from wan_models.bodies import Animation, ImageToVideo, SpeechToVideo
from wan_models.errors import InvalidRequestError

_OURS = (*ImageToVideo.sources, *SpeechToVideo.sources, *Animation.sources)
_FILES = {**{name: name for name in _OURS}, **ACCEPTED_FILES}


@asynccontextmanager
async def received_fields(
    request: Request, intake: Intake, accepted: Mapping[str, str] = _FILES
) -> AsyncIterator[tuple[dict[str, Any], dict[str, Path]]]:
    """The client's fields, and its files by the field of our bodies that each is for.

    ``accepted`` tells those fields by the client's names of them.

    Raises:
        RefusedError: the body cannot be read; the subclasses say why.
        InvalidRequestError: it is no object, or a file came under a name that takes none.
    """
    declared = media_type(request)[0]
    if not is_json(declared) and declared not in FORMS:
        raise UnsupportedMediaTypeError(declared, JSON_OR_FORMS)
    if declared not in FORMS:
        body = await read_json(request, intake.patience)
        if not isinstance(body, Mapping):
            raise InvalidRequestError(BODY, SEND_OBJECT)
        yield unwrapped(body), {}
        return
    async with read_form(request, intake) as form:
        with scratch("form") as folder:
            files: dict[str, Path] = {}
            for name, upload in form.files.items():
                field = accepted.get(name)
                if field is None:
                    raise InvalidRequestError(name[:64], "This field takes no file.")
                if field in files:
                    raise InvalidRequestError(name, "It was sent twice.")
                files[field] = folder / field
                await to_thread.run_sync(save, upload, files[field])
            fields = {
                name: value
                for name, value in form.fields.items()
                if value.strip() or name == "negative_prompt"
            }
            yield unwrapped(_nested(fields)), files


def _nested(fields: Mapping[str, str]) -> dict[str, Any]:
    """Clients write an object into a form member by member: ``video[id]``."""
    nested: dict[str, Any] = {}
    for name, value in fields.items():
        match = re.fullmatch(r"(\w+)\[(\w+)\]", name)
        if match is None:
            nested[name] = value
        elif isinstance(inner := nested.setdefault(match[1], {}), dict):
            inner[match[2]] = value
        else:
            raise InvalidRequestError(match[1], "It was sent twice.")
    return nested
