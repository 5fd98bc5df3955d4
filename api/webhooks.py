"""What clients may ask of webhooks: which URLs, which events."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from ulid import ULID

from jobs.errors import WebhookNotFoundError
from jobs.outbound import Outbound, UrlRefusedError
from jobs.webhook_store import WebhookStore
from jobs.webhooks import Hook
from wan_models.bodies import VideoBody
from wan_models.errors import InvalidRequestError
from wan_models.fields import WebhookEvent, WebhookUrl

WEBHOOK_PATTERN = "^(whe_[0-9a-hjkmnp-tv-z]{26}|default)$"
DELIVERY_PATTERN = "^whd_[0-9a-hjkmnp-tv-z]{26}$"
TYPE_PREFIX = "video."
ENDINGS: tuple[WebhookEvent, ...] = ("video.completed", "video.failed", "video.cancelled", "video.expired")
"""What is told unless a client asks for something else."""

Description = Annotated[str, StringConstraints(strict=True, max_length=256, strip_whitespace=True)]


class NewWebhook(BaseModel):
    """The body of ``POST /webhooks``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: Annotated[WebhookUrl, Field(description="Where to POST; https, port 443 or 8443.")]
    events: Annotated[
        tuple[WebhookEvent, ...], Field(min_length=1, description="What to tell; absent: how jobs ended.")
    ] = ENDINGS
    description: Annotated[Description, Field(description="For people.")] = ""


@dataclass(frozen=True, slots=True)
class Webhooks:
    """The webhook endpoints of all tenants, and the guard of the URLs they may have."""

    store: WebhookStore
    outbound: Outbound

    def vet(self, field: str, url: str) -> None:
        """See whether a URL can be a receiver's.

        Raises:
            InvalidRequestError: it cannot; ``field`` is at fault.
        """
        try:
            self.outbound.vet(url)
        except UrlRefusedError as error:
            raise InvalidRequestError(field, str(error)) from None

    def hook_of(self, body: VideoBody) -> Hook | None:
        """Where a request wants to be told of its job, if anywhere.

        Raises:
            InvalidRequestError: the URL cannot be a receiver's, or there are events and no URL.
        """
        if body.webhook_url is None:
            if body.webhook_events is not None:
                raise InvalidRequestError("webhook_events", "It has a meaning only with webhook_url.")
            return None
        self.vet("webhook_url", body.webhook_url)
        return Hook(body.webhook_url, states_of(body.webhook_events or ENDINGS))


def new_webhook_id() -> str:
    """A fresh id of an endpoint."""
    return f"whe_{ULID()}".lower()


def check_webhook_id(text: str) -> str:
    """Return the id when it can be an endpoint's.

    Raises:
        WebhookNotFoundError: it cannot.
    """
    if not re.fullmatch(WEBHOOK_PATTERN, text):
        raise WebhookNotFoundError(text[:64])
    return text


def check_delivery_id(text: str) -> str:
    """Return the id when it can be a delivery's.

    Raises:
        WebhookNotFoundError: it cannot.
    """
    if not re.fullmatch(DELIVERY_PATTERN, text):
        raise WebhookNotFoundError(text[:64])
    return text


def states_of(events: tuple[WebhookEvent, ...]) -> frozenset[str]:
    """The states of jobs that events tell of."""
    return frozenset(event.removeprefix(TYPE_PREFIX) for event in events)
