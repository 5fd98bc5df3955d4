"""One attempt at a delivery: a signed POST to a stranger, and what came back."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import NamedTuple

from jobs.outbound import Answer, Outbound, OutboundError
from jobs.webhooks import Attempt, Leased, signed_headers
from telemetry.traces import Kind, Traces

USER_AGENT = "wanserve-webhooks/1"
_SNIPPET_BYTES = 1024
_MAX_DIGITS = 9


class Result(NamedTuple):
    """What an attempt came to, and the seconds that the receiver asked to be left alone for."""

    attempt: Attempt
    retry_after: float | None

    @property
    def delivered(self) -> bool:
        """Whether the receiver took it: 2xx and nothing else; a redirect is not followed."""
        status = self.attempt.status
        return status is not None and HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES

    @property
    def gone(self) -> bool:
        """Whether the receiver wants no more."""
        return self.attempt.status == HTTPStatus.GONE


class Courier:
    """Makes attempts; safe to share between threads.

    Args:
        outbound: sends the requests, and refuses those into our own network.
        seconds: how long an attempt may take, name resolution apart.
        clock: Unix seconds, for the timestamp that is signed.
        traces: where attempts are told of.
    """

    def __init__(
        self,
        outbound: Outbound,
        seconds: float,
        clock: Callable[[], float] = time.time,
        traces: Traces | None = None,
    ) -> None:
        self._traces = traces or Traces()
        self._outbound = outbound
        self._seconds = seconds
        self._clock = clock

    def attempt(self, leased: Leased) -> Result:
        """Send a delivery once. Whatever the receiver does is told in the result."""
        traces = self._traces
        with traces.continuing(leased.delivery.traceparent), traces.span("webhook", Kind.CLIENT) as span:
            result = self._attempt(leased, span.traceparent or leased.delivery.traceparent)
            if result.attempt.status:
                span.tell(http__response__status_code=result.attempt.status)
            if not result.delivered:
                span.fail(str(result.attempt.status or "unreachable"))
            return result

    def _attempt(self, leased: Leased, traceparent: str) -> Result:
        delivery, now, begin = leased.delivery, self._clock(), time.monotonic()
        status, error, snippet, wait = None, None, "", None
        try:
            with self._outbound.request(
                "POST",
                delivery.url,
                body=delivery.body.encode(),
                headers=self._headers(leased, int(now), traceparent),
                seconds=self._seconds,
            ) as answer:
                status, wait = answer.status, _retry_after(answer.headers.get("retry-after"), now)
                snippet = _snippet(answer)
        except OutboundError as fault:
            error = str(fault)
        attempt = Attempt(
            number=delivery.attempts,
            at=now,
            seconds=time.monotonic() - begin,
            status=status,
            error=error,
            snippet=snippet,
        )
        return Result(attempt, wait)

    def _headers(self, leased: Leased, timestamp: int, traceparent: str) -> dict[str, str]:
        delivery, endpoint = leased
        signed = signed_headers(endpoint.signing(timestamp), delivery.event_id, timestamp, delivery.body)
        origin = {"x-request-id": delivery.request_id, "traceparent": traceparent}
        return {
            "content-type": "application/json",
            "user-agent": USER_AGENT,
            **signed,
            **{name: value for name, value in origin.items() if value},
        }


def _snippet(answer: Answer) -> str:
    """The begin of the answer, for people who look for a fault; the status alone decides."""
    content = b""
    with suppress(OutboundError):
        content = answer.read(_SNIPPET_BYTES)
    return "".join(char if char.isprintable() else " " for char in content.decode(errors="replace")).strip()


def _retry_after(text: str | None, now: float) -> float | None:
    """Seconds from a Retry-After header, which has them or a date (RFC 9110, section 10.2.3)."""
    if text is None:
        return None
    if text.isascii() and text.isdigit():
        return float(text[:_MAX_DIGITS])
    with suppress(ValueError, TypeError, OverflowError):
        return max(0.0, parsedate_to_datetime(text).timestamp() - now)
    return None
