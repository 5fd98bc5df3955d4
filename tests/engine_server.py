"""A server of videos on a free port, which speaks ``/v1/videos`` as vLLM-Omni or as SGLang does."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.parser import BytesParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class EngineServer:
    """Every video is ``video`` and goes through ``percents``, one for each time it is asked after.

    ``refusals`` are statuses answered to the next requests of any kind; ``error`` makes videos fail.
    ``elsewhere`` has SGLang keep its files in another place. ``asked`` holds the fields of each request.
    """

    dialect: str
    video: bytes
    percents: list[int] = field(default_factory=lambda: [0, 50])
    refusals: list[int] = field(default_factory=list)
    error: str | None = None
    elsewhere: bool = False
    key: str | None = None
    asked: list[dict[str, Any]] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)
    polls: dict[str, int] = field(default_factory=dict)
    polled: threading.Event = field(default_factory=threading.Event)
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def begin(self, fields: dict[str, Any]) -> dict[str, Any]:
        self.asked.append(fields)
        name = f"video_{len(self.asked)}"
        self.polls[name] = 0
        return {"id": name, "object": "video", "status": "queued", "progress": 0}

    def poll(self, name: str) -> tuple[int, dict[str, Any]]:
        if name not in self.polls:
            return 404, {"error": {"message": "No such video."}}
        poll = self.polls[name]
        self.polls[name] += 1
        self.polled.set()
        told: dict[str, Any] = {"id": name, "object": "video"}
        if self.error:
            told |= {"status": "failed", "error": {"code": "broken", "message": self.error}}
            return (500 if self.dialect == "vllm-omni" else 200), told
        if poll < len(self.percents):
            status = "in_progress" if self.dialect == "vllm-omni" else "queued"  # SGLang knows no other
            return 200, told | {"status": status, "progress": self.percents[poll]}
        told |= {"status": "completed", "progress": 100, "inference_time_s": 12.5, "peak_memory_mb": 41300.0}
        if self.elsewhere:
            told["url"] = f"{self.url}/elsewhere/{name}.mp4"
        return 200, told


@contextmanager
def engine(dialect: str, video: bytes) -> Iterator[EngineServer]:
    """Serve until the context ends."""
    told = EngineServer(dialect, video)
    server = _Server(told)
    told.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield told
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, engine: EngineServer) -> None:
        self.engine = engine
        super().__init__(("127.0.0.1", 0), _Handler)


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self._refused():
            return
        kind = self.headers["Content-Type"]
        if kind == "application/json":
            if self.server.engine.dialect == "vllm-omni":
                self._answer(400, {"error": {"message": "Send a form."}})
                return
            fields = json.loads(body)
        else:
            fields = _form(kind, body)
            fields |= json.loads(fields.pop("extra_body", "{}"))
        self._answer(200, self.server.engine.begin(fields))

    def do_GET(self) -> None:
        engine = self.server.engine
        if self.path.startswith("/elsewhere/"):
            assert "Authorization" not in self.headers
            self._send(200, "video/mp4", engine.video)
            return
        if self._refused():
            return
        name, _, content = self.path.removeprefix("/v1/videos/").partition("/")
        if not content:
            self._answer(*engine.poll(name))
        elif engine.elsewhere:
            self._answer(400, {"detail": f"Video is at {engine.url}/elsewhere/{name}.mp4"})
        else:
            self._send(200, "video/mp4", engine.video)

    def do_DELETE(self) -> None:
        self.server.engine.deleted.append(self.path.removeprefix("/v1/videos/"))
        self._answer(200, {"deleted": True})

    def _refused(self) -> bool:
        engine = self.server.engine
        if engine.key and self.headers.get("Authorization") != f"Bearer {engine.key}":
            self._answer(401, {"error": {"message": "Who are you?"}})
            return True
        if engine.refusals:
            self._answer(engine.refusals.pop(0), {"error": {"message": "Not now."}})
            return True
        return False

    def _answer(self, status: int, told: dict[str, Any]) -> None:
        self._send(status, "application/json", json.dumps(told).encode())

    def _send(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        pass


def _form(kind: str, body: bytes) -> dict[str, Any]:
    """Fields as text, files as bytes."""
    fields: dict[str, Any] = {}
    if kind.startswith("application/x-www-form-urlencoded"):
        raise AssertionError("Both servers want multipart.")
    message = BytesParser().parsebytes(f"Content-Type: {kind}\r\n\r\n".encode() + body)
    for part in message.get_payload():
        assert not isinstance(part, str)
        content = part.get_payload(decode=True)
        name = str(part.get_param("name", header="content-disposition"))
        assert isinstance(content, bytes)
        fields[name] = content if part.get_filename() else content.decode()
    return fields
