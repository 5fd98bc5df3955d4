"""A collector of traces on a free port of this machine: OTLP over HTTP, as OpenTelemetry specifies it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

PATIENCE_SECONDS = 60


@dataclass(frozen=True)
class Received:
    """A span as it came in; ids are hexadecimal, times nanoseconds."""

    service: str
    name: str
    trace_id: str
    span_id: str
    parent_id: str
    kind: int
    failed: bool
    start: int
    end: int
    about: dict[str, Any]


@dataclass
class Collector:
    """What a collector got: the spans, and every request as it was sent."""

    spans: list[Received] = field(default_factory=list)
    raw: list[bytes] = field(default_factory=list)
    port: int = 0
    changed: threading.Condition = field(default_factory=threading.Condition)

    @property
    def environment(self) -> dict[str, str]:
        """The variables that send a process's traces here, soon."""
        return {
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{self.port}",
            "OTEL_BSP_SCHEDULE_DELAY": "50",
        }

    def of(self, trace_id: str, names: set[str]) -> dict[str, Received]:
        """The spans of a trace by their names, once there are all these."""
        give_up_at = time.monotonic() + PATIENCE_SECONDS
        while True:
            with self.changed:
                found = {span.name: span for span in self.spans if span.trace_id == trace_id}
                if names <= found.keys():
                    return found
                left = give_up_at - time.monotonic()
                assert left > 0, f"{names - found.keys()} did not come: {self.spans}"
                self.changed.wait(left)

    def take(self, body: bytes) -> None:
        request = ExportTraceServiceRequest.FromString(body)
        with self.changed:
            self.raw.append(body)
            for of_process in request.resource_spans:
                service = _about(of_process.resource.attributes)["service.name"]
                for scope in of_process.scope_spans:
                    self.spans += [_received(service, span) for span in scope.spans]
            self.changed.notify_all()


@contextmanager
def collecting() -> Iterator[Collector]:
    """Listen until the context ends."""
    collector = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            assert (self.path, self.headers["content-type"]) == ("/v1/traces", "application/x-protobuf")
            collector.take(self.rfile.read(int(self.headers["content-length"])))
            content = ExportTraceServiceResponse().SerializeToString()
            self.send_response(200)
            self.send_header("content-type", "application/x-protobuf")
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    collector.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield collector
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _received(service: str, span: Any) -> Received:
    return Received(
        service=service,
        name=span.name,
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent_id=span.parent_span_id.hex(),
        kind=span.kind,
        failed=span.status.code == 2,
        start=span.start_time_unix_nano,
        end=span.end_time_unix_nano,
        about=_about(span.attributes),
    )


def _about(attributes: Any) -> dict[str, Any]:
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in attributes}
