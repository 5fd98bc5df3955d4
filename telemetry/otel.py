"""Traces by OpenTelemetry's SDK, sent by OTLP over HTTP. The standard variables set it up."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version

from opentelemetry import trace
from opentelemetry.context import attach, detach
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from structlog.contextvars import get_contextvars

from telemetry.traces import Kind, Span, Traces

_FACTS = ("job", "attempt", "worker", "tenant", "request_id")
_LONGEST = 256  # characters of an attribute: a path is as long as a client likes
_KINDS = {
    Kind.INTERNAL: SpanKind.INTERNAL,
    Kind.CLIENT: SpanKind.CLIENT,
    Kind.CONSUMER: SpanKind.CONSUMER,
}
_PROPAGATOR = TraceContextTextMapPropagator()


class _OtelSpan(Span):
    def __init__(self, span: trace.Span) -> None:
        self._span = span
        self.traceparent = _traceparent(span.get_span_context())

    def tell(self, **about: float | str) -> None:
        self._span.set_attributes({name.replace("__", "."): value for name, value in about.items()})

    def fail(self, why: str) -> None:
        self._span.set_attribute("error.type", why)
        self._span.set_status(Status(StatusCode.ERROR))


class OtelTraces(Traces):
    """Spans in batches to the collector that the environment names. Make it behind a fork: it has a thread.

    Args:
        service: what this process calls itself, unless OTEL_SERVICE_NAME does.
        instance: its name among others of the kind.
    """

    def __init__(self, service: str, instance: str = "") -> None:
        self.provider = TracerProvider(
            resource=_resource(service, instance),
            span_limits=SpanLimits(max_span_attribute_length=_LONGEST),
            shutdown_on_exit=False,
        )
        self.provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self._tracer = self.provider.get_tracer("wanserve")

    @property
    def traceparent(self) -> str:
        return _traceparent(trace.get_current_span().get_span_context())

    @contextmanager
    def continuing(self, traceparent: str) -> Iterator[None]:
        token = attach(_PROPAGATOR.extract({"traceparent": traceparent}))
        try:
            yield
        finally:
            detach(token)

    @contextmanager
    def span(self, name: str, kind: Kind = Kind.INTERNAL) -> Iterator[Span]:
        # Messages of exceptions and tracebacks stay here: they may quote anything.
        with self._tracer.start_as_current_span(
            name,
            kind=_KINDS[kind],
            attributes=_facts(),
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            ours = _OtelSpan(span)
            try:
                yield ours
            except BaseException as error:
                ours.fail(type(error).__name__)
                raise

    def record(self, name: str, began_at: float, ended_at: float) -> None:
        span = self._tracer.start_span(name, attributes=_facts(), start_time=_ns(began_at))
        span.end(_ns(ended_at))

    def close(self) -> None:
        self.provider.shutdown()


def _resource(service: str, instance: str) -> Resource:
    asked = Resource.create()
    ours = {"service.version": version("wanserve"), "service.instance.id": instance}
    if str(asked.attributes["service.name"]).startswith("unknown_service"):
        ours["service.name"] = service
    return asked.merge(Resource({name: value for name, value in ours.items() if value}))


def _facts() -> dict[str, str]:
    """What log lines say of the work as well."""
    facts = get_contextvars()
    return {f"wanserve.{name}": facts[name] for name in _FACTS if facts.get(name)}


def _traceparent(span: SpanContext) -> str:
    if not span.is_valid:
        return ""
    return f"00-{span.trace_id:032x}-{span.span_id:016x}-{span.trace_flags:02x}"


def _ns(seconds: float) -> int:
    return int(seconds * 1e9)
