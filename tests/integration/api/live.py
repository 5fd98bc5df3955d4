"""A gateway on a port of its own, in a thread of the test, and a client of its event streams."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Event, Thread
from typing import Any

import httpx
import uvicorn

from api.__main__ import Server
from api.app import create_app
from api.parts import Parts
from api.protocol import Protocol, Sockets

PATIENCE_SECONDS = 60


class Announcing(Server):
    """The gateway's server, which tells when it listens."""

    def __init__(self, parts: Parts) -> None:
        config = uvicorn.Config(
            create_app(parts), host="127.0.0.1", port=0, log_level="warning", http=Protocol, ws=Sockets
        )
        super().__init__(config, parts.watch)
        self.listens = Event()
        self.address = ("", 0)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.address = self.servers[0].sockets[0].getsockname()
        self.listens.set()


@contextmanager
def listening(parts: Parts) -> Iterator[Announcing]:
    """Serve on a free port for as long as the context lasts."""
    server = Announcing(parts)
    thread = Thread(target=server.run)
    thread.start()
    try:
        assert server.listens.wait(PATIENCE_SECONDS)
        yield server
    finally:
        server.should_exit = True
        thread.join()


@dataclass
class Told:
    """One server-sent event as it came, or a comment (its ``type`` is empty)."""

    id: str | None
    type: str
    data: dict[str, Any]


class Stream:
    """An open event stream, read one event at a time."""

    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        self._lines = response.iter_lines()

    def __iter__(self) -> Iterator[Told]:
        """The events and comments to come, until the server ends the stream."""
        block: list[str] = []
        for line in self._lines:
            if line:
                block.append(line)
            elif block:
                if told := _told(block):
                    yield told
                block = []

    def next(self) -> Told:
        return next(iter(self))


def _told(block: list[str]) -> Told | None:
    fields = dict(line.split(":", 1) for line in block)
    if "retry" in fields:
        return None
    data = json.loads(fields["data"]) if "data" in fields else {}
    place = fields.get("id")
    return Told(place.strip() if place else None, fields.get("event", "").strip(), data)


@contextmanager
def streaming(url: str, after: str | None = None) -> Iterator[Stream]:
    """Open an event stream, from behind an id if one is given."""
    headers = {} if after is None else {"last-event-id": after}
    with httpx.stream("GET", url, headers=headers, timeout=PATIENCE_SECONDS) as response:
        yield Stream(response)
