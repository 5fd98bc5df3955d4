"""Bodies that are forms: ``multipart/form-data`` (RFC 7578), files straight to disk, or URL-encoded text."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

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
URL_ENCODED = "application/x-www-form-urlencoded"  # what clients send by themselves where there is no file
FORMS = (MEDIA_TYPE, URL_ENCODED)
JSON_OR_FORMS = ("application/json", *FORMS)
_MOST_FILES = 8
_MOST_FIELDS = 64


@dataclass(frozen=True, slots=True)
class Form:
    """A received form: text by field, files by field. A file that was left empty counts as not sent."""

    fields: Mapping[str, str]
    files: Mapping[str, UploadFile]


class _Parser(MultiPartParser):
    """Starlette's, held to UTF-8 and to a length of all text. By itself it falls back on Latin-1."""

    _text_bytes = 0

    def on_headers_finished(self) -> None:
        super().on_headers_finished()
        _, options = parse_options_header(self._current_part.content_disposition)
        options[b"name"].decode()

    def on_part_data(self, data: bytes, start: int, end: int) -> None:
        if self._current_part.file is None:
            self._text_bytes += end - start
            if self._text_bytes > MAX_JSON_BYTES:
                raise MultiPartException(f"its text is longer than {MAX_JSON_BYTES} bytes")
        super().on_part_data(data, start, end)

    def on_part_end(self) -> None:
        if self._current_part.file is None:
            _decoded(self._current_part.field_name, bytes(self._current_part.data))
        super().on_part_end()


@asynccontextmanager
async def read_form(request: Request, intake: Intake) -> AsyncIterator[Form]:
    """Receive a form; its files are gone when the context ends.

    Raises:
        UnsupportedMediaTypeError: it is declared to be in another character set than UTF-8.
        MalformedFormError: it is no form, or has too many parts, or a name that is not UTF-8.
        InvalidRequestError: a field was sent twice, or its text is not UTF-8.
        BodyTooLargeError: it is, or says it is, longer than ``intake`` or, without files, JSON may be.
        BodyTooSlowError: it takes too long.
        DiskFullError: its files find no room.
    """
    kind, charset = media_type(request)
    if charset not in ("", "utf-8"):
        raise UnsupportedMediaTypeError(request.headers.get("content-type", ""), (kind,))
    try:
        form = await (_url_encoded if kind == URL_ENCODED else _multipart)(request, intake)
    except UnicodeDecodeError:
        raise MalformedFormError("the name of a field is not UTF-8") from None
    try:
        with full_disk_told():
            yield _sorted_out(form)
    finally:
        await form.close()


async def _multipart(request: Request, intake: Intake) -> FormData:
    parser = _Parser(
        request.headers,
        body_chunks(request, intake.max_bytes, intake.patience),
        max_files=_MOST_FILES,
        max_fields=_MOST_FIELDS,
        max_part_size=MAX_JSON_BYTES,
    )
    try:
        with full_disk_told():
            return await parser.parse()
    except (MultiPartException, KeyError) as error:
        raise MalformedFormError(getattr(error, "message", "it cannot be read")) from None


async def _url_encoded(request: Request, intake: Intake) -> FormData:
    chunks = [chunk async for chunk in body_chunks(request, MAX_JSON_BYTES, intake.patience)]
    try:  # as Latin-1, which stands for every byte, to be read as what it is
        text = b"".join(chunks).decode("latin-1")
        pairs = parse_qsl(text, keep_blank_values=True, encoding="latin-1", max_num_fields=_MOST_FIELDS)
    except ValueError:
        raise MalformedFormError(f"it has more than {_MOST_FIELDS} fields") from None
    named = [(name.encode("latin-1").decode(), value.encode("latin-1")) for name, value in pairs]
    return FormData([(name, _decoded(name, value)) for name, value in named])


def _decoded(field: str, text: bytes) -> str:
    try:
        return text.decode()
    except UnicodeDecodeError:
        raise InvalidRequestError(field[:64], "It is not UTF-8.") from None


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
