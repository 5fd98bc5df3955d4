"""Security headers on every answer, the server's own errors included."""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

DEFAULTS = (
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
)
"""In the form of ASGI."""


class SecurityHeaders:
    """Adds each header that an answer does not set itself."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on. A plain ASGI wrapper: Starlette's base class costs a task a request."""

        async def send_with_headers(message: Message) -> None:
            if message["type"].endswith("http.response.start"):  # a WebSocket's denial is one as well
                there = {name for name, _ in message["headers"]}
                missing = [header for header in DEFAULTS if header[0] not in there]
                message["headers"] = [*message["headers"], *missing]
            await send(message)

        await self._app(scope, receive, send_with_headers)
