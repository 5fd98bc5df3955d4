"""The answer to a routing query."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from routing.intents import Service


class Part(BaseModel):
    """Base of the answer and what it is made of."""

    model_config = ConfigDict(frozen=True)


class Alternative(Part):
    """What else the query may have meant."""

    service: Service
    task: str | None
    confidence: Annotated[float, Field(ge=0, le=1)]
    reason: str


class Queue(Part):
    """How busy the chosen model is."""

    depth: Annotated[int, Field(description="Jobs that wait for it.")]
    eta_seconds: Annotated[
        int | None, Field(description="Until a video asked for now is there; null if unknown.")
    ]


class Fallback(Part):
    """Whether another model serves than the query called for."""

    used: bool = False
    wanted: Annotated[str | None, Field(description="The model that would have served.")] = None
    reason: Annotated[str | None, Field(description="Why it does not.")] = None


class Route(Part):
    """Which service and which model a query goes to, and the request to send there."""

    service: Annotated[Service, Field(description="wan for video, or a neighbouring service.")]
    task: Annotated[
        str | None, Field(description="Which of the Wan tasks is asked for; null for a neighbour.")
    ]
    kind: Annotated[str | None, Field(description="The kind of video, as in `/models`.")]
    model: Annotated[str | None, Field(description="The model that serves it; null if none is known.")]
    endpoint: Annotated[str | None, Field(description="Where to send the request.")]
    method: str
    parameters: Annotated[dict[str, Any], Field(description="The body of the request, ready to post.")]
    missing: Annotated[
        list[str], Field(description="Fields the request still needs; empty when it is complete.")
    ]
    confidence: Annotated[float, Field(ge=0, le=1, description="How sure the choice of service and task is.")]
    reason: Annotated[str, Field(description="Why this service, task and model.")]
    alternatives: Annotated[list[Alternative], Field(description="What else may be meant, likeliest first.")]
    queue: Annotated[Queue | None, Field(description="How busy the model is; null for a neighbour.")]
    fallback: Annotated[
        Fallback, Field(description="Whether another model serves than was called for, and why.")
    ]
    available: Annotated[bool, Field(description="Whether the request would be served now.")]
    notes: Annotated[list[str], Field(description="Where the parameters are not quite what was asked for.")]
    language: Annotated[str, Field(description="Of the query.")]
