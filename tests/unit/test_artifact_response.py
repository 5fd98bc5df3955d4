"""A stream is let go however the sending of it ends."""

import asyncio
from collections.abc import Iterator

import pytest
from starlette.requests import ClientDisconnect

from api.video import ArtifactResponse
from jobs.artifact_stream import ArtifactStream


class Body:
    """An open file, as far as a stream needs one."""

    def __init__(self) -> None:
        self.closed = False

    def read(self, size: int, /) -> bytes:
        return b"x" * size

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def body() -> Iterator[Body]:
    body = Body()
    yield body
    assert body.closed


async def never() -> dict[str, object]:
    await asyncio.Event().wait()
    return {}


async def hang_up() -> dict[str, object]:
    return {"type": "http.disconnect"}


async def respond(body, receive, send, *, spec_version: str = "2.3") -> None:
    response = ArtifactResponse(ArtifactStream(body, 10_000_000), 200, {})
    scope = {"type": "http", "method": "GET", "asgi": {"spec_version": spec_version}}
    await response(scope, receive, send)


def test_after_the_last_byte(body):
    sent = []

    async def send(message):
        sent.append(len(message.get("body", b"")))

    asyncio.run(respond(body, never, send))
    assert sum(sent) == 10_000_000


def test_when_the_client_hangs_up(body):
    async def send(message):
        if message["type"] == "http.response.body":
            await asyncio.Event().wait()

    asyncio.run(respond(body, hang_up, send))
    assert body.closed


def test_when_sending_fails(body):
    async def send(message):
        raise OSError("broken pipe")

    with pytest.raises(ClientDisconnect):
        asyncio.run(respond(body, never, send, spec_version="2.4"))


def test_when_the_server_gives_up_waiting(body):
    async def give_up() -> None:
        sending = asyncio.Event()

        async def send(message):
            sending.set()
            await asyncio.Event().wait()

        answering = asyncio.create_task(respond(body, never, send))
        await sending.wait()
        answering.cancel()
        with pytest.raises(asyncio.CancelledError):
            await answering

    asyncio.run(give_up())
