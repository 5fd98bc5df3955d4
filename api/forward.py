"""Queries that are no video, carried to the neighbouring service that answers them."""

from __future__ import annotations

import base64
import mimetypes
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
from anyio import to_thread
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from api.inputs.sources import SourceError, Sources
from api.parts import Parts
from api.refusals import NeighbourFailedError, NeighbourRefusedError
from jobs.scratch import scratch
from routing.intents import Service
from routing.query import RouteQuery
from routing.route import Route
from wan_models.errors import InvalidRequestError

MAX_ANSWER_BYTES = 16 * 1024 * 1024
MAX_INLINE_BYTES = 20 * 1024 * 1024
_TOLD = 300  # characters of a service's own words
_CLIENTS_FAULT = frozenset({400, 413, 415, 422})


async def forward(found: Route, query: RouteQuery, tenant: str, parts: Parts) -> Any | Response:
    """Send a query on: the service's JSON, or where that is no JSON or is to be streamed, a response.

    Args:
        found: where it goes.
        query: what was asked.
        tenant: whose uploads may be used.
        parts: the gateway's.

    Raises:
        InvalidRequestError: an attachment cannot be had.
        NeighbourDownError: no server of the service answers.
        NeighbourRefusedError: the service does not take what the client sent.
        NeighbourFailedError: the service answers, but not as it should.
    """
    async with AsyncExitStack() as stack:
        body = await _body(found, query, tenant, parts, stack)
        sending = parts.desk.neighbours.post(found.service, found.endpoint or "", **body)
        answer = await stack.enter_async_context(sending)
        if not answer.is_success:
            await _refuse(found.service, answer)
        if found.service is Service.TTS or query.stream:
            return _Passed(answer, found, stack.pop_all())
        return await _json(found.service, answer)


async def _body(
    found: Route, query: RouteQuery, tenant: str, parts: Parts, stack: AsyncExitStack
) -> dict[str, Any]:
    sources, threads = parts.intake.sources, parts.intake.threads[tenant]
    if found.service is Service.STT:
        fields = {name: value for name, value in found.parameters.items() if name != "file"}
        fetching = _fetched(found.parameters["file"], "attachments", tenant, sources)
        file = await to_thread.run_sync(stack.enter_context, fetching, limiter=threads)
        content = await to_thread.run_sync(file.read_bytes)
        return {"data": fields, "files": {"file": (_name(query), content)}}
    if found.service is Service.TTS or not query.kinds:
        return {"json": found.parameters}
    work = lambda: _inlined(found.parameters, tenant, sources)  # noqa: E731 - for a thread
    return {"json": await to_thread.run_sync(work, limiter=threads)}


def _inlined(parameters: dict[str, Any], tenant: str, sources: Sources) -> dict[str, Any]:
    """A chat request with its pictures and videos in it: the service is not sent to strangers' addresses."""
    message = parameters["messages"][0]
    if isinstance(message["content"], str):
        return parameters
    content = [_inlined_part(part, tenant, sources) for part in message["content"]]
    return {**parameters, "messages": [{**message, "content": content}]}


def _inlined_part(part: dict[str, Any], tenant: str, sources: Sources) -> dict[str, Any]:
    kind = part["type"]
    if kind == "text" or part[kind]["url"].startswith("data:"):
        return part
    with _fetched(part[kind]["url"], "attachments", tenant, sources) as file:
        if file.stat().st_size > MAX_INLINE_BYTES:
            raise InvalidRequestError("attachments", f"A file for this may have {MAX_INLINE_BYTES} bytes.")
        media_type = mimetypes.guess_type(part[kind]["url"])[0] or f"{kind.removesuffix('_url')}/*"
        encoded = base64.b64encode(file.read_bytes()).decode()
    return {"type": kind, kind: {"url": f"data:{media_type};base64,{encoded}"}}


@contextmanager
def _fetched(source: str, field: str, tenant: str, sources: Sources) -> Iterator[Path]:
    with scratch("forward") as folder:
        file = folder / "file"
        try:
            sources.fetch(source, tenant, file)
        except SourceError as error:
            raise InvalidRequestError(field, str(error)) from None
        yield file


def _name(query: RouteQuery) -> str:
    """A file name whose ending the service may go by."""
    attachment = query.first("audio") or query.first("video")
    address = (attachment.source or "") if attachment else ""
    suffix = Path(address.partition("?")[0]).suffix if "data:" not in address else ""
    return f"recording{suffix if suffix.isascii() and len(suffix) <= 5 else ''}"  # noqa: PLR2004 - ".webm"


async def _json(service: Service, answer: httpx.Response) -> Any:
    try:
        return httpx.Response(200, content=await _bounded(answer)).json()
    except (ValueError, httpx.HTTPError):
        raise NeighbourFailedError(service, "what it answered cannot be read") from None


async def _bounded(answer: httpx.Response, most: int = MAX_ANSWER_BYTES) -> bytes:
    content = bytearray()
    async for chunk in answer.aiter_bytes():
        content += chunk
        if len(content) > most:
            raise ValueError("too long")
    return bytes(content)


async def _refuse(service: Service, answer: httpx.Response) -> None:
    try:
        said = (await _bounded(answer, 64 * 1024)).decode(errors="replace")[:_TOLD]
    except (ValueError, httpx.HTTPError):
        said = ""
    if answer.status_code in _CLIENTS_FAULT:
        raise NeighbourRefusedError(service, said)
    raise NeighbourFailedError(service, f"it answered with status {answer.status_code}")


class _Passed(StreamingResponse):
    """Passes an answer on as it comes, and lets go of its connection however the sending ends."""

    def __init__(self, answer: httpx.Response, found: Route, held: AsyncExitStack) -> None:
        super().__init__(
            _bytes(answer),
            media_type=answer.headers.get("content-type", "application/octet-stream"),
            headers={"x-route-service": found.service, "x-route-confidence": f"{found.confidence:.4f}"},
        )
        self._held = held

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See Starlette."""
        async with self._held:
            await super().__call__(scope, receive, send)


async def _bytes(answer: httpx.Response) -> AsyncIterator[bytes]:
    async for chunk in answer.aiter_bytes():
        yield chunk
