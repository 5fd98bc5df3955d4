"""Request bodies: bounded in size and time while they arrive, and JSON read in the one way all agree on."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from email.message import Message
from typing import Any

from pydantic_core import from_json
from starlette.requests import ClientDisconnect, Request

from api.refusals import (
    BodyTooLargeError,
    BodyTooSlowError,
    CompressedBodyError,
    MalformedJsonError,
    UnsupportedMediaTypeError,
)

BODY = "body"
"""What the body as a whole is called where a field would be named."""

SEND_OBJECT = "Send a JSON object, with the fields as its members."
"""What is said of JSON that is something else."""

MAX_JSON_BYTES = 1024 * 1024
MIN_BYTES_PER_SECOND = 64 * 1024
BODY_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a body may take: so many seconds, and one more for every ``MIN_BYTES_PER_SECOND`` received."""

    seconds: float = BODY_SECONDS


async def read_json(request: Request, patience: Patience) -> Any:
    """The parsed body of a request.

    Raises:
        UnsupportedMediaTypeError: it is not declared as JSON. A page of another site cannot declare
            that without asking the browser's leave first, which keeps forged requests out.
        BodyTooLargeError: it is, or says it is, longer than ``MAX_JSON_BYTES``.
        BodyTooSlowError: it takes too long.
        MalformedJsonError: see ``parse_json``.
    """
    kind, charset = media_type(request)
    if not is_json(kind) or charset not in ("", "utf-8"):
        raise UnsupportedMediaTypeError(request.headers.get("content-type", ""))
    body = bytearray()
    async for chunk in body_chunks(request, MAX_JSON_BYTES, patience):
        body += chunk
    return parse_json(bytes(body))


def media_type(request: Request) -> tuple[str, str]:
    """The declared media type and character set of a body, in lower case; empty where there is none."""
    declared = request.headers.get("content-type", "")
    kind, _, parameters = declared.partition(";")
    if not parameters:
        return kind.strip().lower(), ""
    header = Message()
    header["content-type"] = declared
    return kind.strip().lower(), str(header.get_param("charset", "")).lower()


def is_json(kind: str) -> bool:
    """Whether a media type is JSON or built on it (RFC 6839)."""
    return kind == "application/json" or (kind.startswith("application/") and kind.endswith("+json"))


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


async def body_chunks(request: Request, limit: int, patience: Patience) -> AsyncGenerator[bytes, None]:
    """The bytes of a body as they arrive, never more than ``limit``, and only while they arrive.

    Raises:
        CompressedBodyError: it is compressed.
        BodyTooLargeError: it is, or says it is, longer than ``limit``.
        BodyTooSlowError: it takes longer than ``patience`` has.
        ClientDisconnect: the client hung up before its end.
    """
    if (encoding := request.headers.get("content-encoding", "identity").strip().lower()) != "identity":
        raise CompressedBodyError(encoding)
    if _announced(request.headers.get("content-length", "")) > limit:
        raise BodyTooLargeError(limit)
    started, received, more = asyncio.get_running_loop().time(), 0, True
    while more:
        try:
            async with asyncio.timeout_at(started + patience.seconds + received / MIN_BYTES_PER_SECOND):
                message = await request.receive()
        except TimeoutError:
            raise BodyTooSlowError from None
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        chunk, more = message.get("body", b""), message.get("more_body", False)
        received += len(chunk)
        if received > limit:  # whatever was announced, if anything was
            raise BodyTooLargeError(limit)
        yield chunk


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise ValueError("an object has the same name twice")
    return fields


_DECODER = json.JSONDecoder(object_pairs_hook=_unique)


def _announced(content_length: str) -> int:
    """The length in the header, or 0 where there is none to go by."""
    return int(content_length) if re.fullmatch("[0-9]{1,18}", content_length) else 0
