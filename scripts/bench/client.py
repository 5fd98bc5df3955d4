"""An HTTP load client light enough not to be what is measured: keep-alive connections on one event loop.

``apply_load`` runs it in a process of its own; ``python -m scripts.bench.client`` is that process.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import urlsplit
from uuid import uuid4

from scripts.bench.report import percentile

UNIQUE = "{unique}"
"""In a header, stands for another text in each request."""

_MARGIN_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Rate:
    """Requests a second, and seconds a request took: median and 99th percentile.

    ``busy`` is the share of one core that the client took; near 1 it measured itself.
    """

    per_second: float
    p50: float
    p99: float
    busy: float


def apply_load(
    address: str,
    method: str,
    path: str,
    body: Any = None,
    *,
    headers: Mapping[str, str] | None = None,
    seconds: float,
    connections: int,
) -> Rate:
    """Repeat one request over several connections, each sending the next one when it has its answer.

    Raises:
        RuntimeError: an answer was no success.
    """
    order = {
        "method": method,
        "path": path,
        "body": body,
        "headers": dict(headers or {}),
        "seconds": seconds,
        "connections": connections,
    }
    command = [sys.executable, "-m", "scripts.bench.client", address]
    done = subprocess.run(
        command,
        input=json.dumps(order),
        capture_output=True,
        text=True,
        check=False,
        timeout=seconds + _MARGIN_SECONDS,
    )
    if done.returncode:
        raise RuntimeError(f"The load client ended with {done.returncode}:\n{done.stderr[-2000:]}")
    return Rate(*json.loads(done.stdout))


class _Caller(asyncio.Protocol):
    """One connection. HTTP/1.1 answers with a Content-Length, which is what the measured servers send."""

    def __init__(self, request: bytes, stop_at: float, took: list[float]) -> None:
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._request = request
        self._stop_at = stop_at
        self._took = took
        self._answer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._send()

    def data_received(self, data: bytes) -> None:
        self._answer += data
        if not _is_whole(self._answer):
            return
        now = time.perf_counter()
        self._took.append(now - self._sent_at)
        if not self._answer.startswith(b"HTTP/1.1 2"):
            self._fail(RuntimeError(self._answer.decode(errors="replace")))
        elif now < self._stop_at:
            self._send()
        else:
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail(exc) if exc else self._end()

    def _send(self) -> None:
        self._answer = b""
        request = self._request.replace(UNIQUE.encode(), uuid4().hex.encode())
        self._sent_at = time.perf_counter()
        self._transport.write(request)

    def _fail(self, error: Exception) -> None:
        if not self.done.done():
            self.done.set_exception(error)

    def _end(self) -> None:
        if not self.done.done():
            self.done.set_result(None)


def _is_whole(answer: bytes) -> bool:
    head, end, content = answer.partition(b"\r\n\r\n")
    return bool(end) and len(content) >= int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])


async def _call(
    address: str,
    *,
    method: str,
    path: str,
    body: Any,
    headers: Mapping[str, str],
    seconds: float,
    connections: int,
) -> Rate:
    host, _, port = urlsplit(address).netloc.partition(":")
    request = _request(method, path, {"host": host, "accept": "*/*", **headers}, body)
    took: list[float] = []
    begin, cpu = time.perf_counter(), time.process_time()
    loop = asyncio.get_running_loop()
    opened = [
        await loop.create_connection(lambda: _Caller(request, begin + seconds, took), host, int(port))
        for _ in range(connections)
    ]
    await asyncio.gather(*(caller.done for _, caller in opened))
    wall = time.perf_counter() - begin
    busy = (time.process_time() - cpu) / wall
    return Rate(len(took) / wall, percentile(took, 50), percentile(took, 99), busy)


def _request(method: str, path: str, headers: Mapping[str, str], body: Any) -> bytes:
    content = b"" if body is None else json.dumps(body).encode()
    kind = {"content-type": "application/json", "content-length": str(len(content))} if content else {}
    lines = [
        f"{method} {path} HTTP/1.1",
        *(f"{name}: {value}" for name, value in {**headers, **kind}.items()),
    ]
    return "\r\n".join([*lines, "", ""]).encode() + content


if __name__ == "__main__":
    rate = asyncio.run(_call(sys.argv[1], **json.load(sys.stdin)))
    print(json.dumps([rate.per_second, rate.p50, rate.p99, rate.busy]))
