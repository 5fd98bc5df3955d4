"""The messages of webhooks: their bodies, and the deliveries that carry them. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from ulid import ULID

from jobs.webhooks import NewDelivery


def envelope(event_id: str, kind: str, at: float, data: Mapping[str, Any]) -> str:
    """The body of a message, which the verifiers of OpenAI and of Standard Webhooks accept alike.

    Args:
        event_id: the message's own id.
        kind: what happened, such as ``video.completed``.
        at: when, in Unix seconds.
        data: what it happened to.
    """
    told = {
        "id": event_id,
        "object": "event",
        "type": kind,
        "created_at": int(at),
        "timestamp": utc(at),
        "data": data,
    }
    return json.dumps(told, ensure_ascii=False, separators=(",", ":"))


def new_delivery(tenant: str, endpoint_id: str, url: str, **told: Any) -> NewDelivery:
    """A delivery with a fresh id; ids sort by the time they were made.

    What fails at one host fails together, for each tenant alone: that is its receiver.
    """
    return NewDelivery(
        id=f"whd_{ULID()}".lower(),
        tenant=tenant,
        endpoint_id=endpoint_id,
        url=url,
        receiver=f"{tenant}|{urlsplit(url).netloc.lower()}",
        **told,
    )


def utc(seconds: float) -> str:
    """A time in ISO 8601 with a Z."""
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")
