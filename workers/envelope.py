"""What receivers of webhooks are told: from a transition of a job to the deliveries it means."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from jobs.state import FINAL_STATES, Job, JobState
from jobs.webhook_message import envelope, new_delivery, utc
from jobs.webhook_store import DEFAULT
from jobs.webhooks import Endpoint, Letter, NewDelivery

TYPE_PREFIX = "video."


def deliveries(
    letter: Letter, job: Job | None, endpoints: Sequence[Endpoint], public_url: str | None
) -> Iterator[NewDelivery]:
    """The deliveries of a transition: to the tenant's endpoints that asked for it, and to the request's hook.

    Args:
        letter: the transition.
        job: its job as it is now; None when it was removed meanwhile.
        endpoints: the tenant's registered ones.
        public_url: what absolute links begin with.
    """
    event_id = f"evt_{letter.job_id.removeprefix('job_')}_{letter.number}"
    kind = TYPE_PREFIX + letter.type
    body = envelope(event_id, kind, letter.at, _data(letter, job, public_url))
    for endpoint_id, url in _receivers(letter, endpoints):
        yield new_delivery(
            letter.tenant,
            endpoint_id,
            url,
            event_id=event_id,
            type=kind,
            body=body,
            job_id=letter.job_id,
            request_id=letter.request_id,
            traceparent=letter.traceparent,
        )


def _receivers(letter: Letter, endpoints: Sequence[Endpoint]) -> Iterator[tuple[str, str]]:
    for endpoint in endpoints:
        if letter.type in endpoint.events and endpoint.disabled_at is None:
            yield endpoint.id, endpoint.url
    if letter.hook and letter.type in letter.hook.events:
        yield f"{DEFAULT}.{letter.tenant}", letter.hook.url


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
        "created_at": utc(job.created_at),
        "finished_at": utc(letter.at) if final else None,
        "expires_at": utc(job.expires_at) if final and job.expires_at else None,
        "video_path": path if completed else None,
        "video_url": f"{public_url}{path}" if completed and public_url else None,
        "error": error,
        "metrics": (job.result or {}).get("metrics") if completed else None,
    }
