"""HTTP and WebSockets as uvicorn speaks them; even a request that is none is answered with a problem."""

from __future__ import annotations

import h11
from starlette.requests import HTTPConnection
from uvicorn._types import ASGISendEvent
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from api.errors import problem_response
from api.headers import DEFAULTS
from api.refusals import MalformedRequestError

_NOTHING = HTTPConnection({"type": "http", "headers": []})  # what is known of a request that cannot be read


class Protocol(H11Protocol):
    """Uvicorn's own, which says the same in plain text."""

    def send_400_response(self, msg: str) -> None:
        """Answer what cannot be read as a request, and hang up."""
        answer = problem_response(_NOTHING, MalformedRequestError(msg))
        headers = [*answer.raw_headers, *DEFAULTS, (b"connection", b"close")]
        head = h11.Response(status_code=answer.status_code, headers=headers, reason=b"Bad Request")
        for event in (head, h11.Data(data=bytes(answer.body)), h11.EndOfMessage()):
            self.transport.write(self.conn.send(event))
        self.transport.close()


class Sockets(WebSocketsSansIOProtocol):
    """Uvicorn's own, which logs an error for each denial: it takes one for a handshake that was forgotten."""

    async def send(self, message: ASGISendEvent) -> None:
        """See ASGI."""
        await super().send(message)
        if self.initial_response and self.close_sent:
            self.handshake_complete = True
