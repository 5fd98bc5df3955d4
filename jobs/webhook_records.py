"""How webhook endpoints, deliveries and letters are written in Redis."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, TypeAlias

from jobs.webhooks import Attempt, Delivery, DeliveryState, Endpoint, Hook, Letter, NewDelivery

Flat: TypeAlias = Sequence[bytes]
"""A hash as scripts return it: names and values in turn."""

_SHORT = {  # what the scripts need to know is named as they name it
    "endpoint_id": "endpoint",
    "job_id": "job",
}


def read_endpoint(flat: Flat) -> Endpoint:
    """An endpoint from its hash."""
    fields = _fields(flat)
    return Endpoint(
        id=fields["id"],
        tenant=fields["tenant"],
        url=fields["url"],
        events=frozenset(json.loads(fields["events"])),
        secret=fields["secret"],
        previous_secret=fields.get("old"),
        previous_until=_time(fields, "old_until"),
        description=fields.get("description", ""),
        created_at=int(fields["created"]) / 1000,
        failing_since=_time(fields, "failing"),
        disabled_at=_time(fields, "disabled"),
        disabled_reason=fields.get("why"),
    )


def read_delivery(flat: Flat) -> Delivery:
    """A delivery from its hash."""
    fields = _fields(flat)
    return Delivery(
        **{name: fields[_SHORT.get(name, name)] for name in _TEXTS},
        persistent=fields["persistent"] == "1",
        state=DeliveryState(fields["state"]),
        attempts=int(fields["attempts"]),
        tries=int(fields["tries"]),
        created_at=int(fields["created"]) / 1000,
        next_attempt_at=_time(fields, "next"),
        finished_at=_time(fields, "finished"),
    )


def write_delivery(delivery: NewDelivery) -> str:
    """A new delivery as the scripts take it: the fields of its hash, JSON."""
    fields = {_SHORT.get(name, name): getattr(delivery, name) for name in _TEXTS}
    return json.dumps(fields | {"persistent": "1" if delivery.persistent else "0"}, ensure_ascii=False)


def read_attempt(entry: bytes) -> Attempt:
    """An attempt from its entry."""
    return Attempt(**json.loads(entry))


def write_attempt(attempt: Attempt) -> str:
    """An attempt as an entry."""
    return json.dumps(asdict(attempt), ensure_ascii=False)


def read_letter(raw: bytes) -> Letter:
    """A letter from its entry in the outbox."""
    entry: Mapping[str, Any] = json.loads(raw)
    event = entry["event"]
    hook = json.loads(entry["hook"]) if entry.get("hook") else None
    return Letter(
        raw=raw,
        job_id=entry["job"],
        tenant=entry["tenant"],
        number=event["id"],
        type=event["type"],
        at=event["at"] / 1000,
        data=event["data"],
        hook=Hook(hook["url"], frozenset(hook["events"])) if hook else None,
        request_id=entry.get("request") or "",
        traceparent=entry.get("trace") or "",
    )


_TEXTS = tuple(name for name, kind in NewDelivery.__annotations__.items() if kind == "str")


def _fields(flat: Flat) -> dict[str, str]:
    return {flat[i].decode(): flat[i + 1].decode() for i in range(0, len(flat), 2)}


def _time(fields: Mapping[str, str], name: str) -> float | None:
    return int(fields[name]) / 1000 if name in fields else None
