"""What a request came from, as its sender names it: so that logs on all sides can be laid side by side."""

from __future__ import annotations

import re
from dataclasses import dataclass
from secrets import token_hex

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog.contextvars import bind_contextvars

from jobs.facts import trace_id
from telemetry.traces import Traces

HEADER = "x-request-id"
_SCOPE_KEY = "wanserve.origin"
_REQUEST_ID = re.compile(r"[A-Za-z0-9._:/+=@-]{1,64}")
_TRACEPARENT = re.compile("([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")


@dataclass(frozen=True, slots=True)
class Origin:
    """The id of a request, and its place in its sender's trace (W3C Trace Context)."""

    request_id: str = ""
    traceparent: str = ""


class Origins:
    """Names every request, in its answer and in the log; a plain ASGI wrapper."""

    def __init__(self, app: ASGIApp, traces: Traces) -> None:
        self._app = app
        self._traces = traces

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        origin = scope[_SCOPE_KEY] = read_origin(Headers(scope=scope), self._traces.traceparent)
        # For the task of this request, and the threads that it uses.
        bind_contextvars(request_id=origin.request_id, trace_id=trace_id(origin.traceparent))

        async def send_with_id(message: Message) -> None:
            if message["type"].endswith("response.start") or message["type"] == "websocket.accept":
                MutableHeaders(scope=message)[HEADER] = origin.request_id
            await send(message)

        await self._app(scope, receive, send_with_id)


def read_origin(headers: Headers, traceparent: str = "") -> Origin:
    """What the headers say, and where they say nothing well-formed, something new.

    ``traceparent`` is the place of our own span for the request, if it has one: what comes of it goes below.
    """
    given, trace = headers.get(HEADER, ""), traceparent or parse_traceparent(headers.getlist("traceparent"))
    trace = trace or f"00-{token_hex(16)}-{token_hex(8)}-00"
    return Origin(
        request_id=given if _REQUEST_ID.fullmatch(given) else trace_id(trace),
        traceparent=trace,
    )


def parse_traceparent(values: list[str]) -> str | None:
    """The traceparent in the form of version 00, or None where it is to be ignored.

    Later versions may have more to say behind the four fields; what they keep of version 00 is used
    (https://www.w3.org/TR/trace-context/, sections 3.2 and 4.3).
    """
    found = _TRACEPARENT.fullmatch(values[0].strip()) if len(values) == 1 else None
    if found is None:
        return None
    version, trace_id, parent_id, flags, more = found.groups()
    if version == "ff" or (version == "00" and more) or not (int(trace_id, 16) and int(parent_id, 16)):
        return None
    return f"00-{trace_id}-{parent_id}-{flags}"


def origin_of(connection: HTTPConnection) -> Origin:
    """What a request came from."""
    origin: Origin = connection.scope.get(_SCOPE_KEY, Origin())
    return origin
