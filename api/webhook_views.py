"""Webhook endpoints and deliveries as clients see them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import Field

from api.schemas import View
from api.webhooks import TYPE_PREFIX
from jobs.webhook_store import DEFAULT
from jobs.webhooks import Attempt, Delivery, DeliveryState, Endpoint


class WebhookView(View):
    """A webhook endpoint. The one called ``default`` signs for the URLs that requests name themselves."""

    id: str
    url: Annotated[str | None, Field(description="Null for the default one.")]
    events: list[str]
    description: str
    status: Literal["enabled", "disabled"]
    created_at: datetime
    failing_since: Annotated[datetime | None, Field(description="No attempt succeeded since.")]
    disabled_at: datetime | None
    disabled_reason: Annotated[
        Literal["gone", "failing"] | None,
        Field(description="`gone`: it answered 410. `failing`: for five days no attempt succeeded."),
    ]
    previous_secret_until: Annotated[datetime | None, Field(description="So long the old one signs too.")]


class WebhookSecretView(WebhookView):
    """A webhook endpoint with its secret, which is shown this once."""

    secret: Annotated[str, Field(description="Verifies the signatures; `whsec_` and base64.")]


class WebhookList(View):
    """The registered endpoints, oldest first."""

    webhooks: list[WebhookView]


class DeliveryView(View):
    """A message to one receiver."""

    id: str
    webhook_id: str
    event_id: Annotated[str, Field(description="The `webhook-id` header, the same in every attempt.")]
    type: str
    job_id: Annotated[str | None, Field(description="Null for a test.")]
    url: str
    status: DeliveryState
    attempts: Annotated[int, Field(description="Attempts made so far.")]
    created_at: datetime
    next_attempt_at: Annotated[datetime | None, Field(description="Null unless pending.")]
    finished_at: datetime | None


class DeliveryAttempt(View):
    """One attempt at a delivery."""

    number: int
    at: datetime
    latency_ms: int
    status: Annotated[int | None, Field(description="What the receiver answered; null when it did not.")]
    error: Annotated[str | None, Field(description="Why there is no answer.")]
    response: Annotated[str, Field(description="The begin of its body.")]


class DeliveryDetail(DeliveryView):
    """A delivery with what is sent, and its last twenty attempts."""

    payload: dict[str, Any]
    log: list[DeliveryAttempt]


class DeliveryPage(View):
    """One page of deliveries, newest first."""

    deliveries: list[DeliveryView]
    next: Annotated[str | None, Field(description="Pass it as `before` to get the next page.")]


def webhook_view(endpoint: Endpoint) -> WebhookView:
    """An endpoint without its secret."""
    return WebhookView(**_webhook(endpoint))


def webhook_secret_view(endpoint: Endpoint) -> WebhookSecretView:
    """An endpoint with its secret."""
    return WebhookSecretView(**_webhook(endpoint), secret=endpoint.secret)


def delivery_view(delivery: Delivery) -> DeliveryView:
    """A delivery as lists show it."""
    return DeliveryView(**_delivery(delivery))


def delivery_detail(delivery: Delivery, attempts: Iterable[Attempt]) -> DeliveryDetail:
    """A delivery with all that is kept of it."""
    log = [
        DeliveryAttempt(
            number=attempt.number,
            at=_utc(attempt.at),
            latency_ms=round(attempt.seconds * 1000),
            status=attempt.status,
            error=attempt.error,
            response=attempt.snippet,
        )
        for attempt in attempts
    ]
    return DeliveryDetail(**_delivery(delivery), payload=json.loads(delivery.body), log=log)


def _webhook(endpoint: Endpoint) -> dict[str, Any]:
    return {
        "id": endpoint.id if endpoint.url else DEFAULT,
        "url": endpoint.url or None,
        "events": sorted(TYPE_PREFIX + state for state in endpoint.events),
        "description": endpoint.description,
        "status": "enabled" if endpoint.disabled_at is None else "disabled",
        "created_at": _utc(endpoint.created_at),
        "failing_since": _utc_or_none(endpoint.failing_since),
        "disabled_at": _utc_or_none(endpoint.disabled_at),
        "disabled_reason": endpoint.disabled_reason,
        "previous_secret_until": _utc_or_none(endpoint.previous_until),
    }


def _delivery(delivery: Delivery) -> dict[str, Any]:
    of_request = delivery.endpoint_id == f"{DEFAULT}.{delivery.tenant}"
    return {
        "id": delivery.id,
        "webhook_id": DEFAULT if of_request else delivery.endpoint_id,
        "event_id": delivery.event_id,
        "type": delivery.type,
        "job_id": delivery.job_id or None,
        "url": delivery.url,
        "status": delivery.state,
        "attempts": delivery.attempts,
        "created_at": _utc(delivery.created_at),
        "next_attempt_at": _utc_or_none(delivery.next_attempt_at),
        "finished_at": _utc_or_none(delivery.finished_at),
    }


def _utc(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _utc_or_none(seconds: float | None) -> datetime | None:
    return None if seconds is None else _utc(seconds)
