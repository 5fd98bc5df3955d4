"""A receiver of webhooks on a free port of this machine, which behaves as each path says."""

from __future__ import annotations

import queue
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socket import SO_LINGER, SOL_SOCKET
from struct import pack
from typing import Any
from urllib.parse import unquote

PATIENCE_SECONDS = 60


@dataclass(frozen=True)
class Message:
    """A webhook as it came in."""

    path: str
    headers: dict[str, str]
    body: str


@dataclass
class Receiver:
    """What a receiver got; ``/ok`` takes it.

    ``/status/N`` answers N, ``/once/N`` answers N and next time 200, ``/later?S`` asks with 429 to be left
    alone for S, ``/redirect`` leads to ``/ok``, ``/reset`` resets the connection, ``/hang`` answers once
    ``released``, ``/huge`` sends without end.
    """

    got: queue.Queue[Message] = field(default_factory=queue.Queue)
    seen: Counter[str] = field(default_factory=Counter)
    released: threading.Event = field(default_factory=threading.Event)
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def next(self) -> Message:
        return self.got.get(timeout=PATIENCE_SECONDS)


@contextmanager
def receiving() -> Iterator[Receiver]:
    """Listen until the context ends."""
    receiver = Receiver()
    server = _Server(receiver)
    receiver.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield receiver
    finally:
        receiver.released.set()
        server.shutdown()
        server.server_close()
        thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, receiver: Receiver) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.receiver = receiver


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_POST(self) -> None:
        receiver = self.server.receiver
        body = self.rfile.read(int(self.headers["content-length"])).decode()
        path, _, query = self.path.partition("?")
        again = receiver.seen[self.path] > 0
        receiver.seen[self.path] += 1
        receiver.got.put(
            Message(self.path, {name.lower(): text for name, text in self.headers.items()}, body)
        )
        kind, _, status = path.strip("/").partition("/")
        with suppress(OSError):
            match kind:
                case "status":
                    self._answer(int(status))
                case "once":
                    self._answer(200 if again else int(status))
                case "later":
                    self._answer(200 if again else 429, {"retry-after": unquote(query)})
                case "redirect":
                    self._answer(302, {"location": "/ok"})
                case "reset":
                    self.connection.setsockopt(SOL_SOCKET, SO_LINGER, pack("ii", 1, 0))
                    self.connection.close()
                case "hang":
                    receiver.released.wait()
                    self._answer(200)
                case "huge":
                    self._huge(receiver.released)
                case _:
                    self._answer(200)

    def _huge(self, released: threading.Event) -> None:
        self.send_response(200)
        self.end_headers()
        self.close_connection = True
        while not released.is_set():
            self.wfile.write(b"x" * 65536)

    def _answer(self, status: int, headers: dict[str, str] | None = None) -> None:
        content = b"thanks"
        self.send_response(status)
        for name, text in {"content-length": str(len(content)), **(headers or {})}.items():
            self.send_header(name, text)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""
