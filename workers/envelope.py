"""What receivers of webhooks are told: from a transition of a job to the messages it means."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from ulid import ULID

from jobs.state import FINAL_STATES, Job, JobState
from jobs.webhook_store import DEFAULT
from jobs.webhooks import Endpoint, Letter, NewDelivery

TYPE_PREFIX = "video."


def new_delivery_id() -> str:
    """A fresh id; ids sort by the time they were made."""
    return f"whd_{ULID()}".lower()


def deliveries(
    letter: Letter,
    job: Job | None,
    endpoints: Sequence[Endpoint],
    public_url: str | None,
    new_id: Callable[[], str] = new_delivery_id,
) -> Iterator[NewDelivery]:
    """The deliveries of a transition: to the tenant's endpoints that asked for it, and to the request's hook.

    Args:
        letter: the transition.
        job: its job as it is now; None when it was removed meanwhile.
        endpoints: the tenant's registered ones.
        public_url: what absolute links begin with.
        new_id: gives each delivery its id.
    """
    event_id = f"evt_{letter.job_id.removeprefix('job_')}_{letter.number}"
    kind = TYPE_PREFIX + letter.type
    body = envelope(event_id, kind, letter.at, _data(letter, job, public_url))
    receivers = [
        (endpoint.id, endpoint.url)
        for endpoint in endpoints
        if letter.type in endpoint.events and endpoint.disabled_at is None
    ]
    if letter.hook and letter.type in letter.hook.events:
        receivers.append((f"{DEFAULT}.{letter.tenant}", letter.hook.url))
    for endpoint_id, url in receivers:
        yield NewDelivery(
            id=new_id(),
            tenant=letter.tenant,
            endpoint_id=endpoint_id,
            url=url,
            receiver=receiver_of(letter.tenant, url),
            event_id=event_id,
            type=kind,
            body=body,
            job_id=letter.job_id,
            request_id=letter.request_id,
            traceparent=letter.traceparent,
        )


def envelope(event_id: str, kind: str, at: float, data: Mapping[str, Any]) -> str:
    """The body of a message, which the verifiers of OpenAI and of Standard Webhooks accept alike."""
    told = {
        "id": event_id,
        "object": "event",
        "type": kind,
        "created_at": int(at),
        "timestamp": _utc(at),
        "data": data,
    }
    return json.dumps(told, ensure_ascii=False, separators=(",", ":"))


def receiver_of(tenant: str, url: str) -> str:
    """Whom a URL leads to: what fails at the same host fails together, for each tenant alone."""
    return f"{tenant}|{urlsplit(url).netloc}"


def _data(letter: Letter, job: Job | None, public_url: str | None) -> dict[str, Any]:
    """The job as the transition left it, in the words of the API; prompts stay at home."""
    error = letter.data.get("error")
    data: dict[str, Any] = {"id": letter.job_id, "object": "video", "status": letter.type}
    if job is None:
        return data | {"error": error}
    path = f"/videos/{job.id}.mp4"
    completed = letter.type == JobState.COMPLETED
    final = letter.type in FINAL_STATES
    return data | {
        "task": job.queue,
        "attempt": letter.data.get("attempt", 0),
        "created_at": _utc(job.created_at),
        "finished_at": _utc(letter.at) if final else None,
        "expires_at": _utc(job.expires_at) if final and job.expires_at else None,
        "video_path": path if completed else None,
        "video_url": f"{public_url}{path}" if completed and public_url else None,
        "error": error,
        "metrics": (job.result or {}).get("metrics") if completed else None,
    }


def _utc(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")
