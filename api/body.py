"""Request bodies: JSON, bounded while it arrives, and read in the one way that every reader agrees on."""

from __future__ import annotations

import json
import re
from typing import Any

from pydantic_core import from_json
from starlette.requests import Request

from api.refusals import BodyTooLargeError, MalformedJsonError, UnsupportedMediaTypeError

MAX_BODY_BYTES = 1024 * 1024


async def read_json(request: Request) -> Any:
    """The parsed body of a request.

    Raises:
        UnsupportedMediaTypeError: it is not declared as JSON. A page of another site cannot declare
            that without asking the browser's leave first, which keeps forged requests out.
        BodyTooLargeError: it is, or says it is, longer than ``MAX_BODY_BYTES``.
        MalformedJsonError: see ``parse_json``.
    """
    _check_media_type(request.headers.get("content-type", ""))
    _check_encoding(request.headers.get("content-encoding", "identity"))
    return parse_json(await _read(request))


def parse_json(body: bytes) -> Any:
    """Read a JSON document (RFC 8259).

    Refused beside what the RFC refuses: lone surrogates, NaN and infinities, nesting beyond 200, and
    names that an object has twice.

    Raises:
        MalformedJsonError: it is no such document.
    """
    try:
        from_json(body, allow_inf_nan=False)
        return _DECODER.decode(body.decode())
    except ValueError as error:
        raise MalformedJsonError(str(error)) from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise ValueError("an object has the same name twice")
    return fields


_DECODER = json.JSONDecoder(object_pairs_hook=_unique)


def _check_media_type(declared: str) -> None:
    kind = declared.partition(";")[0].strip().lower()
    if kind != "application/json" and not (kind.startswith("application/") and kind.endswith("+json")):
        raise UnsupportedMediaTypeError(kind)


async def _read(request: Request) -> bytes:
    if _announced(request.headers.get("content-length", "")) > MAX_BODY_BYTES:
        raise BodyTooLargeError(MAX_BODY_BYTES)
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY_BYTES:  # whatever was announced, if anything was
            raise BodyTooLargeError(MAX_BODY_BYTES)
    return bytes(body)


def _announced(content_length: str) -> int:
    """The length in the header, or 0 where there is none to go by."""
    return int(content_length) if re.fullmatch("[0-9]{1,18}", content_length) else 0


def _check_encoding(declared: str) -> None:
    if declared.strip().lower() != "identity":
        raise UnsupportedMediaTypeError(f"encoded as {declared}")
