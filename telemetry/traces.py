"""What a trace tells of the work for one request: the seam to OpenTelemetry, which is off unless asked for.

Spans are named after the work, and tell what log lines tell: job, attempt, worker, tenant, request.
"""

from __future__ import annotations

import logging
import os
from contextlib import AbstractContextManager, nullcontext
from enum import Enum, auto
from typing import Any

ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
"""One of them names the collector, as OpenTelemetry specifies; without them there are no traces."""

INSTALL = "pip install 'wanserve[traces]'"

_log = logging.getLogger(__name__)


class Kind(Enum):
    """Which end of a call a span is."""

    INTERNAL = auto()
    CLIENT = auto()
    CONSUMER = auto()


class Span:
    """A piece of work, timed. This one is recorded nowhere.

    ``traceparent`` names it to others (W3C Trace Context); empty for none.
    """

    traceparent = ""

    def tell(self, **about: float | str) -> None:
        """Say more about the work; a double underscore in a name stands for a dot."""

    def fail(self, why: str) -> None:
        """Say that the work failed without an exception. ``why`` is a word or a status."""


_NO_SPAN = nullcontext(Span())


class Traces:
    """Records spans. This one records none, and costs next to nothing."""

    provider: Any = None
    """OpenTelemetry's own, for libraries that make spans by themselves."""

    @property
    def traceparent(self) -> str:
        """The span that this thread or task is in, as others name it; empty for none."""
        return ""

    def continuing(self, traceparent: str) -> AbstractContextManager[object]:  # noqa: ARG002 - for those that do
        """Have spans belong to the span that somebody else began, and to its trace."""
        return _NO_SPAN

    def span(self, name: str, kind: Kind = Kind.INTERNAL) -> AbstractContextManager[Span]:  # noqa: ARG002 - the same
        """Record the work of a block, as a part of what this thread or task is in."""
        return _NO_SPAN

    def record(self, name: str, began_at: float, ended_at: float) -> None:
        """Record work that is over, in Unix seconds."""

    def close(self) -> None:
        """Send what was recorded, and no more."""


def open_traces(service: str, instance: str = "") -> Traces:
    """The traces that the environment asks for; none unless it names a collector.

    Args:
        service: what this process calls itself, unless OTEL_SERVICE_NAME does.
        instance: its name among others of the kind.
    """
    variable = next((name for name in ENDPOINTS if os.environ.get(name)), None)
    if variable is None or os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return Traces()
    try:
        from telemetry.otel import OtelTraces  # noqa: PLC0415 - an extra, which need not be installed
    except ImportError:
        _log.warning("%s is set, but there will be no traces: %s", variable, INSTALL)
        return Traces()
    return OtelTraces(service, instance)
