"""From a query in plain words to the service, the model and the request that fulfil it."""

from __future__ import annotations

from typing import Any

from anyio import to_thread
from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool

from api.answer import answer
from api.body import read_json
from api.forward import forward
from api.idempotency import PARAMETER, Reservation, key_of
from api.links import Links
from api.model_loads import model_loads
from api.openapi import BODIES, PROBLEMS
from api.parts import Parts, parts_of
from api.present import job_view
from api.principal import principal_of
from api.query import StrictRoute
from api.refusals import UnroutableError
from api.schemas import RouteView
from api.submission import submit
from routing.intents import Service
from routing.query import RouteQuery
from routing.route import Route
from wan_models.errors import InvalidRequestError

router = APIRouter(prefix="/api/v1", tags=["route"], responses=PROBLEMS, route_class=StrictRoute)

_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/RouteQuery"}}},
    },
    "parameters": [PARAMETER],
}
_KINDS = {f"/generate/{body.kind}": body for body in BODIES}
_STARTED: dict[int | str, dict[str, Any]] = {202: {"model": RouteView, "description": "The job is queued."}}


@router.post("/route", response_model=RouteView, responses=_STARTED, openapi_extra=_BODY)
async def route(request: Request) -> Response:
    """Tell where a query goes; with `execute`, send it there."""
    parts = parts_of(request)
    key_of(request)  # a wrong one is refused, whether it will be used or not
    query = RouteQuery.model_validate(await read_json(request, parts.intake.patience))
    found = await parts.desk.route(query, await run_in_threadpool(model_loads, parts))
    if found.service is Service.WAN and found.model is None:
        raise UnroutableError(found)
    if not query.execute:
        return answer(RouteView(**dict(found)))
    for field in found.missing:
        raise InvalidRequestError(field, "The query asks for this, and nothing is attached that could be it.")
    if found.service is not Service.WAN:
        return await _forward(found, query, request, parts)
    async with parts.reservations.of(request, parts.store) as reservation:
        return await _start(found, request, parts, reservation)


async def _forward(found: Route, query: RouteQuery, request: Request, parts: Parts) -> Response:
    if not found.available:
        raise UnroutableError(found)
    result = await forward(found, query, principal_of(request).tenant, parts)
    return result if isinstance(result, Response) else answer(RouteView(**dict(found), answer=result))


async def _start(found: Route, request: Request, parts: Parts, reservation: Reservation | None) -> Response:
    """Submit the job of a route, as the endpoint that it names would."""
    body = _KINDS[found.endpoint or ""].model_validate(found.parameters)
    tenant = principal_of(request).tenant

    def work() -> Response:
        job = submit(body, parts, reservation, tenant=tenant)
        view = RouteView(**dict(found), job=job_view(job, parts.load, Links(request)))
        return answer(view, status=202, headers={"location": f"/jobs/{job.id}"})

    return await to_thread.run_sync(work, limiter=parts.intake.threads[tenant] if body.given else None)
