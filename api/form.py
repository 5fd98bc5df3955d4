"""Bodies of ``multipart/form-data`` (RFC 7578): fields as text, files straight to disk."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from python_multipart.multipart import parse_options_header
from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from api.body import MAX_JSON_BYTES, body_chunks, media_type, parse_json
from api.inputs.intake import Intake
from api.refusals import MalformedFormError, MalformedJsonError, UnsupportedMediaTypeError
from jobs.disks import full_disk_told
from wan_models.bodies import VideoBody
from wan_models.errors import InvalidRequestError

MEDIA_TYPE = "multipart/form-data"
_MOST_FILES = 8
_MOST_FIELDS = 64


@dataclass(frozen=True, slots=True)
class Form:
    """A received form: text by field, files by field. A file that was left empty counts as not sent."""

    fields: Mapping[str, str]
    files: Mapping[str, UploadFile]


class _Parser(MultiPartParser):
    """Starlette's, which takes what is not UTF-8 for Latin-1."""

    def on_headers_finished(self) -> None:
        super().on_headers_finished()
        _, options = parse_options_header(self._current_part.content_disposition)
        options[b"name"].decode()

    def on_part_end(self) -> None:
        try:
            self._current_part.data.decode()  # empty where the part is a file
        except UnicodeDecodeError:
            raise InvalidRequestError(self._current_part.field_name[:64], "It is not UTF-8.") from None
        super().on_part_end()


@asynccontextmanager
async def read_form(request: Request, intake: Intake) -> AsyncIterator[Form]:
    """Receive a form; its files are gone when the context ends.

    Raises:
        UnsupportedMediaTypeError: it is declared to be in another character set than UTF-8.
        MalformedFormError: it is no form, or has too many parts, or a name that is not UTF-8.
        InvalidRequestError: a field was sent twice, or its text is not UTF-8.
        BodyTooLargeError: it is, or says it is, longer than ``intake`` allows.
        BodyTooSlowError: it takes too long.
        DiskFullError: its files find no room.
    """
    if media_type(request)[1] not in ("", "utf-8"):
        raise UnsupportedMediaTypeError(request.headers.get("content-type", ""), MEDIA_TYPE)
    parser = _Parser(
        request.headers,
        body_chunks(request, intake.max_bytes, intake.patience),
        max_files=_MOST_FILES,
        max_fields=_MOST_FIELDS,
        max_part_size=MAX_JSON_BYTES,
    )
    try:
        with full_disk_told():
            form = await parser.parse()
    except UnicodeDecodeError:
        raise MalformedFormError("the name of a field is not UTF-8") from None
    except (MultiPartException, KeyError) as error:
        raise MalformedFormError(getattr(error, "message", "it cannot be read")) from None
    try:
        with full_disk_told():
            yield _sorted_out(form)
    finally:
        await form.close()


def typed_fields(kind: type[VideoBody], fields: Mapping[str, str]) -> dict[str, Any]:
    """The fields of a body from a form's text: numbers, pairs and flags are read, text stays text.

    A field that was left empty counts as not sent, unless it is text that may be empty.
    """
    typed = {name: _typed(text, kind, name) for name, text in fields.items()}
    return {name: value for name, value in typed.items() if value is not None}


def _typed(text: str, kind: type[VideoBody], name: str) -> Any:
    if name not in kind.model_fields:
        return text
    if _is_text(kind, name):
        return text if text or name in ("prompt", "negative_prompt") else None
    if not text.strip():
        return None
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    try:
        return parse_json((f"[{text}]" if "," in text and "[" not in text else text).encode())
    except MalformedJsonError:
        return text  # which the field's own check refuses in its own words


def _is_text(kind: type[VideoBody], name: str) -> bool:
    schema = kind.model_json_schema()["properties"][name]
    return any(option.get("type") == "string" for option in schema.get("anyOf", [schema]))


def _sorted_out(form: FormData) -> Form:
    fields: dict[str, str] = {}
    files: dict[str, UploadFile] = {}
    for name, value in form.multi_items():
        if name in fields or name in files:
            raise InvalidRequestError(name, "It was sent twice.")
        if isinstance(value, str):
            fields[name] = value
        elif value.size or value.filename:
            files[name] = value
    return Form(fields, files)
