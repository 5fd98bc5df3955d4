"""HTTP and WebSockets as uvicorn speaks them; even a request that is none is answered with a problem."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Any

import h11
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection
from starlette.responses import Response as Answer
from uvicorn import Config
from uvicorn._types import ASGISendEvent
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.datastructures import Headers
from websockets.http11 import Response
from websockets.server import ServerProtocol
from websockets.typing import StatusLike

from api.errors import problem_response
from api.headers import DEFAULTS
from api.refusals import HeadTooSlowError, MalformedRequestError

HEAD_SECONDS = 20.0  # for a connection to say what it wants, in all
_NOTHING = HTTPConnection({"type": "http", "headers": []})  # what is known of a request that cannot be read


class Protocol(H11Protocol):
    """Uvicorn's own, which says the same in plain text, and waits for ever for a request to begin."""

    _head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn has it
        """See asyncio."""
        super().connection_made(transport)
        self._await_head()

    def data_received(self, data: bytes) -> None:
        """See asyncio. Bytes that make no whole head yet do not let the client have more time."""
        super().data_received(data)
        if self.conn.their_state is not h11.IDLE:
            self._stop_waiting()
        elif self._head_timer is None:
            self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio."""
        self._stop_waiting()
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:
        """Answer what cannot be read as a request, and hang up."""
        self._refuse(MalformedRequestError(msg))

    def _await_head(self) -> None:
        self._head_timer = self.loop.call_later(HEAD_SECONDS, self._give_up)

    def _stop_waiting(self) -> None:
        if self._head_timer:
            self._head_timer.cancel()
            self._head_timer = None

    def _give_up(self) -> None:
        begun, _ = self.conn.trailing_data
        if begun:
            self._refuse(HeadTooSlowError())
        else:
            self.transport.close()

    def _refuse(self, error: Exception) -> None:
        answer = _refusal(error)
        headers = [*answer.raw_headers, (b"connection", b"close")]
        reason = HTTPStatus(answer.status_code).phrase.encode()
        head = h11.Response(status_code=answer.status_code, headers=headers, reason=reason)
        for event in (head, h11.Data(data=bytes(answer.body)), h11.EndOfMessage()):
            self.transport.write(self.conn.send(event))
        self.transport.close()


class Sockets(WebSocketsSansIOProtocol):
    """Uvicorn's own, which logs an error for each denial: it takes one for a handshake that was forgotten."""

    def __init__(self, config: Config, *rest: Any, **named: Any) -> None:
        super().__init__(config, *rest, **named)
        self.conn = _Handshake(max_size=config.ws_max_size, logger=self.logger)

    async def send(self, message: ASGISendEvent) -> None:
        """See ASGI."""
        await super().send(message)
        if self.initial_response and self.close_sent:
            self.handshake_complete = True


class _Handshake(ServerProtocol):
    """That of websockets, which says in plain text why it is none."""

    def reject(self, status: StatusLike, text: str) -> Response:
        plain = super().reject(status, text)
        answer = _refusal(HTTPException(plain.status_code, text.strip() or plain.reason_phrase))
        kept = [header for header in plain.headers.raw_items() if header[0] not in answer.headers]
        headers = Headers([*kept, *answer.headers.items()])
        return Response(plain.status_code, plain.reason_phrase, headers, bytes(answer.body))


def _refusal(error: Exception) -> Answer:
    answer = problem_response(_NOTHING, error)
    answer.raw_headers.extend(DEFAULTS)
    return answer
