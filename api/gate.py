"""The one door: every request is somebody's, and may do what it asks, before any route sees it."""

from __future__ import annotations

from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Receive, Scope, Send

from api.access import Access
from api.errors import problem_response
from api.principal import introduce
from api.refusals import RefusedError, ScopeMissingError
from jobs import keys
from jobs.errors import JobsError
from jobs.logs import note

OPEN = frozenset({"/", "/docs", "/openapi.json", "/health/live", "/health/ready"})
"""What anybody may see: pages that hold no data, and what load balancers ask for."""

_LOOKS = frozenset({"GET", "HEAD", "OPTIONS"})


def needed_scope(scope: Scope) -> keys.Scope:
    """What a request needs. The method tells, so that no route can be forgotten."""
    looks = scope["type"] == "websocket" or scope["method"] in _LOOKS
    return keys.Scope.READ if looks else keys.Scope.SUBMIT


class Gate:
    """Lets requests in whose principal may make them; a plain ASGI wrapper."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app = app
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer with a problem."""
        if scope["type"] == "lifespan" or scope["path"] in OPEN:
            await self._app(scope, receive, send)
            return
        connection = HTTPConnection(scope)
        try:
            await self._admit(connection)
        except (RefusedError, JobsError) as error:
            await problem_response(connection, error)(scope, receive, send)
            return
        await self._app(scope, receive, send)

    async def _admit(self, connection: HTTPConnection) -> None:
        principal = await self._access.admit(connection)
        needed = needed_scope(connection.scope)
        if not principal.may(needed):
            raise ScopeMissingError(needed)
        introduce(connection, principal)
        note(tenant=principal.tenant)
