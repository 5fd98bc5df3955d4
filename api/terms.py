"""On which terms a video is made, in the words of the job engine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from api.deadlines import Deadline
from api.idempotency import Reservation, fingerprint
from jobs.state import Priority
from wan_models.bodies import VideoBody
from wan_models.request import VideoRequest


def terms(
    body: VideoBody,
    request: VideoRequest,
    deadline: Deadline,
    *,
    tiny: bool,
    contents: Mapping[str, str] | None = None,
    reservation: Reservation | None = None,
) -> dict[str, Any]:
    """The fields of a NewJob that say when it is served, how long it may take, and what may stand for it.

    Args:
        body: what the client asked for.
        request: the same with nothing left open.
        deadline: how long such jobs may wait and run where the client does not say.
        tiny: whether the installed model is a tiny one, whose videos are not those of the real one.
        contents: the digests of the inputs by name, where there are any.
        reservation: the request's idempotency key.
    """
    asked = request.model_dump(mode="json", exclude={"inputs", "preview", "batch"}, exclude_defaults=True)
    kind = "tiny" if tiny else "real"
    return {
        "priority": Priority(body.priority or Priority.NORMAL),
        "expires_in": body.expires_in or deadline.expires_in,
        "timeout": body.timeout or deadline.timeout,
        "steps": request.sample_steps,
        "pace_key": pace_key(request),
        "digest": fingerprint(kind, asked, contents or {}),
        "reuse": bool(body.reuse),
        "idempotency": reservation.used_for(body.kind, body.model_dump(mode="json"), contents or {})
        if reservation
        else None,
    }


def pace_key(request: VideoRequest) -> str:
    """What requests have in common that take about as long a step: the size, and passes of the model."""
    passes = 1 if max(request.sample_guide_scale) == 1 else 2
    return f"{request.width}*{request.height}*{request.frame_num}*{passes}"
