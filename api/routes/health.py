"""Whether the service works."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from fastapi import APIRouter, Request, Response

from api.answer import answer
from api.openapi import PROBLEMS
from api.parts import Parts, parts_of
from api.query import StrictRoute
from api.schemas import Health, Probe
from api.version import VERSION
from jobs.errors import ArtifactStoreUnavailableError, StoreUnavailableError
from telemetry.outage import Outage

router = APIRouter(prefix="/health", tags=["service"], responses=PROBLEMS, route_class=StrictRoute)


@router.get("", response_model=Health, responses={503: {"model": Health, "description": "No job store."}})
def get_health(request: Request) -> Response:
    """Whether the stores answer, and who works. 503 when jobs can be neither accepted nor read."""
    health = _examine(parts_of(request))
    return answer(health, status=503 if health.status == "unavailable" else 200)


@router.get("/live", response_model=Probe)
async def get_live() -> Response:
    """Whether this process answers at all: what a supervisor restarts it by. Needs no key."""
    return answer(Probe(status="ok"))


@router.get("/ready", response_model=Probe, responses={503: {"model": Probe, "description": "No job store."}})
def get_ready(request: Request) -> Response:
    """Whether to send requests here: what a load balancer goes by. Needs no key."""
    parts = parts_of(request)
    status = _state(parts.store.ping, parts.outages.job_store)
    return answer(Probe(status=status), status=200 if status == "ok" else 503)


def _examine(parts: Parts) -> Health:
    store = _state(parts.store.ping, parts.outages.job_store)
    artifacts = _state(parts.artifacts.ping, parts.outages.artifact_store)
    whole = "unavailable" if store != "ok" else "ok" if artifacts == "ok" else "degraded"
    return Health(
        status=whole,
        version=VERSION,
        store=store,
        artifacts=artifacts,
        workers=parts.load.workers() if store == "ok" else None,
    )


def _state(ping: Callable[[], None], outage: Outage) -> Literal["ok", "unavailable"]:
    try:
        ping()
    except (StoreUnavailableError, ArtifactStoreUnavailableError) as error:
        outage.meet(error)
        return "unavailable"
    outage.is_over()
    return "ok"
