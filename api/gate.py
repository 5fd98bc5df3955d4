"""The one door: every request is somebody's, and may do what it asks, before any route sees it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog.contextvars import bind_contextvars

from api.access import Access
from api.errors import problem_response
from api.limiter import Limiter, rate_headers
from api.principal import introduce
from api.query import check_query
from api.refusals import RefusedError, ScopeMissingError, TooManyRequestsError
from api.routes.page import PAGES, PARTS
from jobs import keys
from jobs.errors import JobsError, StoreUnavailableError
from jobs.limits import Allowance

HEALTH = "/health"

OPEN = frozenset({*PAGES, "/openapi.json", "/health/live", "/health/ready"})
"""What anybody may see: pages that hold no data, and what load balancers ask for."""

ASKED_AGAIN_SECONDS = 1.0
"""How often a store that is away is asked whether it is back; other requests are told at once meanwhile."""

_LOOKS = frozenset({"GET", "HEAD", "OPTIONS"})


def needed_scope(scope: Scope) -> keys.Scope:
    """What a request needs. The method tells, so that no route can be forgotten."""
    looks = scope["type"] == "websocket" or scope["method"] in _LOOKS
    return keys.Scope.READ if looks else keys.Scope.SUBMIT


class Gate:
    """Lets requests in whose principal may make them; a plain ASGI wrapper.

    Args:
        app: what is behind it.
        access: tells whose a request is.
        limiter: tells what it may take.
        clock: seconds from any starting point.
    """

    def __init__(
        self, app: ASGIApp, access: Access, limiter: Limiter, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._app = app
        self._access = access
        self._limiter = limiter
        self._clock = clock
        self._away = ""  # why the store did not answer the last time
        self._ask_again_at = 0.0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer with a problem."""
        if scope["type"] == "lifespan" or scope["path"] in OPEN or scope["path"].startswith(PARTS):
            await self._app(scope, receive, send)
            return
        connection = HTTPConnection(scope)
        try:
            allowance = await self._ask(connection)
        except StoreUnavailableError as error:
            # Whose request it is cannot be told; the health has that to tell, in its own words.
            told = self._app if scope["path"] == HEALTH else problem_response(connection, error)
            await told(scope, receive, send)
            return
        except (RefusedError, JobsError) as error:
            await problem_response(connection, error)(scope, receive, send)
            return
        await self._app(scope, receive, _telling(allowance, send) if allowance else send)

    async def _ask(self, connection: HTTPConnection) -> Allowance | None:
        """Admit a request, without waiting for a store that was away a moment ago: it may hang."""
        if self._away and self._clock() < self._ask_again_at:
            raise StoreUnavailableError(self._away)
        self._ask_again_at = self._clock() + ASKED_AGAIN_SECONDS
        try:
            allowance = await self._admit(connection)
        except StoreUnavailableError as error:
            self._away, self._ask_again_at = str(error), self._clock() + ASKED_AGAIN_SECONDS
            raise
        self._away = ""
        return allowance

    async def _admit(self, connection: HTTPConnection) -> Allowance | None:
        principal = await self._access.admit(connection)
        check_query(connection.scope["query_string"])
        needed = needed_scope(connection.scope)
        if not principal.may(needed):
            raise ScopeMissingError(needed)
        principal = replace(principal, limits=await self._limiter.of(principal.tenant))
        allowance = await self._limiter.take(principal)
        if allowance and allowance.retry_seconds:
            raise TooManyRequestsError(allowance)
        introduce(connection, principal)
        bind_contextvars(tenant=principal.tenant)
        return allowance


def _telling(allowance: Allowance, send: Send) -> Send:
    """Tell the client of its limit in the answer."""

    async def send_with_limit(message: Message) -> None:
        if message["type"].endswith("response.start") or message["type"] == "websocket.accept":
            MutableHeaders(scope=message).update(rate_headers(allowance))
        await send(message)

    return send_with_limit
