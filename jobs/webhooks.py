"""Webhooks as values: endpoints, deliveries and attempts; signatures, and when to try again. Pure.

Signatures are those of Standard Webhooks,
https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple

SECRET_PREFIX = "whsec_"  # noqa: S105 - the mark of a secret, not one
_SECRET_BYTES = 32

DELAYS: Sequence[float] = (0, 5, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400)
"""Seconds before each attempt, counted from the one before it: Standard Webhooks' own example."""

JITTER = 0.1
LONGEST_DELAY_SECONDS = 86400.0


class DeliveryState(StrEnum):
    """Where a delivery is."""

    PENDING = "pending"  # on its way, or waiting for its next attempt
    DELIVERED = "delivered"  # answered with 2xx
    FAILED = "failed"  # given up


class Verdict(StrEnum):
    """What an attempt came to."""

    DELIVERED = "delivered"
    RETRY = "retry"
    FAILED = "failed"  # it was the last one
    GONE = "gone"  # the receiver wants no more, ever


@dataclass(frozen=True, slots=True)
class Hook:
    """Where the request of one job wants to be told of its states, and of which."""

    url: str
    events: frozenset[str]

    def told(self) -> dict[str, Any]:
        """The hook as JSON."""
        return {"url": self.url, "events": sorted(self.events)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """A transition that somebody wants to hear of, as the outbox holds it: ``raw`` is the entry itself."""

    raw: bytes
    job_id: str
    tenant: str
    number: int  # of the event in the job's log
    type: str
    at: float
    data: Mapping[str, Any]
    hook: Hook | None
    request_id: str
    traceparent: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where a tenant wants to hear of its jobs. Times are Unix seconds by the store's clock.

    Without a ``url`` it is the tenant's default one, which signs for the URLs that requests name themselves.
    """

    id: str
    tenant: str
    url: str
    events: frozenset[str]
    secret: str = field(repr=False)
    previous_secret: str | None = field(default=None, repr=False)
    previous_until: float | None = None  # so long the previous secret signs as well
    description: str = ""
    created_at: float
    failing_since: float | None = None  # no attempt succeeded since
    disabled_at: float | None = None
    disabled_reason: str | None = None  # `gone`: it answered 410; `failing`: for days nothing else

    def signing(self, now: float) -> list[str]:
        """The secrets that sign at this time, in Unix seconds; the newest first."""
        rotated = self.previous_secret is not None and now < (self.previous_until or 0)
        return [self.secret, self.previous_secret] if rotated and self.previous_secret else [self.secret]


class Lane(StrEnum):
    """Receivers that failed or were slow have a lane of their own, so that they hold nobody else up."""

    FAST = "fast"
    SLOW = "slow"


@dataclass(frozen=True, slots=True, kw_only=True)
class NewDelivery:
    """Something to tell one receiver. ``body`` is sent as it is, in every attempt.

    Args:
        id: sorts in the order of creation.
        receiver: deliveries to the same one are held back together when it does not answer.
        event_id: the same in every attempt, so that receivers can tell repetitions.
        job_id: whose event it is; empty for a test.
        persistent: whether it is tried again when it fails.
        traceparent: of the request that the job came from.
    """

    id: str
    tenant: str
    endpoint_id: str
    url: str
    receiver: str
    event_id: str
    type: str
    body: str
    job_id: str = ""
    persistent: bool = True
    request_id: str = ""
    traceparent: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery(NewDelivery):
    """A delivery as its record tells it. ``tries`` are the attempts since it was last asked for."""

    state: DeliveryState
    attempts: int
    tries: int
    created_at: float
    next_attempt_at: float | None = None  # while it is pending
    finished_at: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One try at a delivery: the receiver's status, or why there is none, and the begin of its answer."""

    number: int
    at: float
    seconds: float
    status: int | None
    error: str | None
    snippet: str


class Leased(NamedTuple):
    """A delivery that is this deliverer's to attempt, and its endpoint as it was then."""

    delivery: Delivery
    endpoint: Endpoint


def new_secret() -> str:
    """A fresh signing secret."""
    return SECRET_PREFIX + base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()


def signature(secret: str, event_id: str, timestamp: int, body: str) -> str:
    """The signature of one message under one secret, ``v1,<base64>``.

    Raises:
        ValueError: the secret is none.
    """
    try:
        key = base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
    except binascii.Error:
        raise ValueError("A webhook secret is whsec_ and base64.") from None
    digest = hmac.new(key, f"{event_id}.{timestamp}.{body}".encode(), hashlib.sha256).digest()
    return f"v1,{base64.b64encode(digest).decode()}"


def signed_headers(signing: Sequence[str], event_id: str, timestamp: int, body: str) -> dict[str, str]:
    """The three headers of a message, with a signature for each secret."""
    return {
        "webhook-id": event_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(signature(secret, event_id, timestamp, body) for secret in signing),
    }


def retry_delay(tries: int, asked: float | None, luck: float) -> float | None:
    """Seconds until the next attempt, or None when there is none left.

    Args:
        tries: attempts made so far.
        asked: what the receiver asked for in Retry-After, in seconds.
        luck: 0 to 1, drawn at random, so that what failed together does not come back together.
    """
    if tries >= len(DELAYS):
        return None
    delay = DELAYS[tries] * (1 + JITTER * (2 * luck - 1))
    return min(max(delay, asked or 0.0), LONGEST_DELAY_SECONDS * (1 + JITTER))
