"""A hub on a free port: it speaks the Hugging Face hub's protocol, and fails as it is told."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

COMMIT = "0123456789abcdef0123456789abcdef01234567"
LARGE_BYTES = 4096  # from here on a file is kept outside of git


@dataclass
class HubServer:
    """One repository, of the files in a folder.

    ``cut`` says after how many bytes an answer with a file breaks off, None for not at all; ``spoil`` may
    change what is sent. ``token`` is needed to read where it is set. ``moves`` sends large files from another
    origin, as the real hub does. ``ranges`` are the Range headers that came by path, ``tokens`` what came
    in Authorization to either origin.
    """

    repository: str
    folder: Path
    cut: Callable[[str], int | None] = lambda _path: None
    spoil: Callable[[str, bytes], bytes] = lambda _path, content: content
    token: str | None = None
    moves: bool = True
    understands_ranges: bool = True
    busy: int = 0
    port: int = 0
    store_port: int = 0
    gets: Counter[str] = field(default_factory=Counter)
    ranges: list[tuple[str, str]] = field(default_factory=list)
    tokens: dict[str, set[str | None]] = field(default_factory=lambda: {"hub": set(), "store": set()})
    on_file: Callable[[str], None] = lambda _path: None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def describe(self) -> dict[str, Any]:
        files = [path for path in sorted(self.folder.rglob("*")) if path.is_file()]
        siblings = [sibling(path.relative_to(self.folder).as_posix(), path.read_bytes()) for path in files]
        return {"id": self.repository, "sha": COMMIT, "siblings": siblings}


def sibling(name: str, content: bytes) -> dict[str, Any]:
    sha256 = hashlib.sha256(content).hexdigest()
    pointer = (
        f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {len(content)}\n".encode()
    )
    large = len(content) >= LARGE_BYTES
    kept = pointer if large else content
    told = {
        "rfilename": name,
        "size": len(content),
        "blobId": hashlib.sha1(b"blob %d\0%b" % (len(kept), kept)).hexdigest(),
    }
    return told | (
        {"lfs": {"sha256": sha256, "size": len(content), "pointerSize": len(pointer)}} if large else {}
    )


@contextmanager
def hub_of(repository: str, folder: Path) -> Iterator[HubServer]:
    """Serve a folder as a repository until the context ends."""
    hub = HubServer(repository, folder)
    servers = [_Server(hub, "hub"), _Server(hub, "store")]
    hub.port, hub.store_port = (server.server_address[1] for server in servers)
    threads = [threading.Thread(target=server.serve_forever, args=(0.01,)) for server in servers]
    for thread in threads:
        thread.start()
    try:
        yield hub
    finally:
        for server, thread in zip(servers, threads, strict=True):
            server.shutdown()
            server.server_close()
            thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, hub: HubServer, role: str) -> None:
        self.hub = hub
        self.role = role
        super().__init__(("127.0.0.1", 0), _Handler)


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        hub, role = self.server.hub, self.server.role
        given = self.headers.get("Authorization")
        hub.tokens[role].add(given)
        if hub.token and role == "hub" and given != f"Bearer {hub.token}":
            self._answer(401, b'{"error": "Unauthorized"}')
        elif hub.busy:
            hub.busy -= 1
            self._answer(503, b"", {"Retry-After": "0"})
        elif self.path == f"/api/models/{hub.repository}/revision/main?blobs=true":
            self._answer(200, json.dumps(hub.describe()).encode())
        elif found := re.fullmatch(rf"/{hub.repository}/resolve/{COMMIT}/(.+)", self.path):
            self._send_file(found[1])
        else:
            self._answer(404, b'{"error": "Repository not found"}')

    def _send_file(self, name: str) -> None:
        hub, content = self.server.hub, (self.server.hub.folder / name).read_bytes()
        if self.server.role == "hub" and hub.moves and len(content) >= LARGE_BYTES:
            place = f"http://127.0.0.1:{hub.store_port}{self.path}"
            self._answer(302, b"", {"Location": place, "X-Linked-Size": str(len(content))})
            return
        hub.gets[name] += 1
        hub.on_file(name)
        content = hub.spoil(name, content)
        wanted = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        start, status, headers = 0, 200, {"ETag": f'"{hashlib.sha256(content).hexdigest()}"'}
        if wanted:
            hub.ranges.append((name, wanted[0]))
        if wanted and hub.understands_ranges:
            start, status = int(wanted[1]), 206
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        self._answer(status, content[start:], headers, hub.cut(name))

    def _answer(
        self, status: int, body: bytes, headers: dict[str, str] | None = None, cut: int | None = None
    ) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body[:cut])
        self.close_connection = True

    def log_message(self, *args: object) -> None:
        pass
