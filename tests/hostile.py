"""A web server that misbehaves as asked, on a free port of this machine."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

CERTIFICATE = Path(__file__).parent / "data" / "files.example.pem"


@dataclass
class HostileServer:
    """Answers each path with what ``files`` holds for it; some paths have manners of their own.

    ``/redirect?URL`` leads on to URL, ``/drip`` sends a byte now and then until ``released``, ``/silent``
    never answers, ``/short`` breaks off, ``/endless`` sends without end.
    """

    files: Mapping[str, bytes] = field(default_factory=dict)
    content_type: str = "text/html"
    requests: list[tuple[str, str, str]] = field(default_factory=list)
    released: threading.Event = field(default_factory=threading.Event)
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@contextmanager
def hostile_server(files: Mapping[str, bytes] | None = None, *, tls: bool = False) -> Iterator[HostileServer]:
    """Serve until the context ends."""
    served = HostileServer(files or {})
    server = _Server(served)
    if tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(CERTIFICATE)
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    served.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield served
    finally:
        served.released.set()
        server.shutdown()
        server.server_close()
        thread.join()


def trusting() -> ssl.SSLContext:
    """A context that trusts the certificate of these servers, which is made out to files.example."""
    return ssl.create_default_context(cafile=str(CERTIFICATE))


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, served: HostileServer) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.served = served


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self._answer()

    def _answer(self) -> None:
        served = self.server.served
        served.requests.append((self.command, self.path, self.headers["host"]))
        path, _, query = self.path.partition("?")
        manners = {
            "/silent": self._silent,
            "/drip": self._drip,
            "/short": self._short,
            "/endless": self._endless,
        }
        with suppress(ConnectionError, ssl.SSLError, TimeoutError):  # clients of such a server hang up
            if path in manners:
                manners[path](served.released)
            elif path == "/redirect":
                self._send(302, b"", {"location": query})
            else:
                known = served.files.get(path)
                self._send(404 if known is None else 200, known or b"", {})

    def _silent(self, released: threading.Event) -> None:
        released.wait()
        self.close_connection = True

    def _drip(self, released: threading.Event) -> None:
        self._head(200, {"content-length": "1000000"})
        while not released.wait(0.02):
            self.wfile.write(b"x")

    def _short(self, _: threading.Event) -> None:
        self._head(200, {"content-length": "1000"})
        self.wfile.write(b"only this")
        self.close_connection = True

    def _endless(self, released: threading.Event) -> None:
        self._head(200, {})
        self.close_connection = True
        while not released.is_set():
            self.wfile.write(bytes(65536))

    def _send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self._head(status, {"content-length": str(len(body))} | headers)
        self.wfile.write(body)

    def _head(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {"content-type": self.server.served.content_type, **headers}.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Say nothing."""
