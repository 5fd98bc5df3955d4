"""Server-sent events: https://html.spec.whatwg.org/multipage/server-sent-events.html."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Protocol

from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

RETRY_MS = 2000  # how soon a browser comes back after a connection was lost
_HEARTBEAT = b":\n\n"
_HEADERS = {
    "cache-control": "no-store",
    "x-accel-buffering": "no",  # nginx would keep events back
}


class Told(Protocol):
    """An event that can be sent."""

    @property
    def id(self) -> str | None:
        """Where a client goes on after it."""
        ...

    @property
    def type(self) -> str:
        """What browsers dispatch it as."""
        ...

    def model_dump_json(self) -> str:
        """The data, in one line."""
        ...


class EventStream(StreamingResponse):
    """Sends events as they come, and a comment for each None; closes their source however it ends."""

    media_type = "text/event-stream"

    def __init__(self, events: AsyncGenerator[Told | None]) -> None:
        super().__init__(_encoded(events), headers=_HEADERS)
        self._events = events

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See Starlette."""
        async with aclosing(self._events):
            await super().__call__(scope, receive, send)


async def _encoded(events: AsyncGenerator[Told | None]) -> AsyncGenerator[bytes]:
    yield f"retry: {RETRY_MS}\n\n".encode()
    async for event in events:
        yield _HEARTBEAT if event is None else _message(event)


def _message(event: Told) -> bytes:
    place = f"id: {event.id}\n" if event.id is not None else ""
    return f"{place}event: {event.type}\ndata: {event.model_dump_json()}\n\n".encode()
