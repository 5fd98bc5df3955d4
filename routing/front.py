"""The router in front of several installations, as an HTTP service of its own."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import httpx
from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route as Endpoint

from routing.carrier import Carrier, NoInstallationError, kept_headers
from routing.desk import Desk, open_desk
from routing.fleet import Fleet
from routing.intents import Service
from routing.query import RouteQuery
from routing.settings import FrontSettings

MAX_QUERY_BYTES = 1024 * 1024
_DEFAULT_TASKS = {
    "text-to-video": "t2v-A14B",
    "image-to-video": "i2v-A14B",
    "text-image-to-video": "ti2v-5B",
    "speech-to-video": "s2v-14B",
    "animation": "animate-14B",
}


class Front:
    """Routes queries and carries jobs to the installations.

    Args:
        fleet: the installations.
        desk: tells where queries go.
        client: what to send with.
    """

    def __init__(self, fleet: Fleet, desk: Desk, client: httpx.AsyncClient) -> None:
        self._fleet = fleet
        self._desk = desk
        self._carrier = Carrier(fleet, client)

    async def route(self, request: Request) -> Response:
        """``POST /api/v1/route``: as a gateway answers it, with the installation that is best for it."""
        try:
            query = RouteQuery.model_validate_json(await _bounded(request))
        except ValidationError as error:
            first = error.errors(include_url=False, include_context=False, include_input=False)[0]
            field = str(first["loc"][0]) if first["loc"] else "body"
            return problem(422, "invalid_request", f"{field}: {first['msg']}", field)
        await self._fleet.refresh()
        found = await self._desk.route(query, self._fleet.loads())
        content = found.model_dump(mode="json")
        if found.service is Service.WAN and found.model is None:
            return problem(503, "no_model", found.reason, route=content)
        one = self._fleet.best(found.model) if found.service is Service.WAN and found.model else None
        content |= {"installation": one.url if one else None, "job": None}
        if not query.execute:
            return JSONResponse(content)
        if found.service is not Service.WAN:
            return problem(422, "not_a_video", "Only videos are made here; ask a gateway for the rest.")
        for field in found.missing:
            return problem(422, "invalid_request", f"{field}: nothing is attached that could be it.", field)
        return await self._start(request, found.endpoint or "", found.parameters, content)

    async def _start(
        self, request: Request, endpoint: str, parameters: dict[str, Any], content: dict[str, Any]
    ) -> Response:
        headers = {
            "content-type": "application/json",
            "idempotency-key": uuid4().hex,
            **kept_headers(request),
        }
        body = json.dumps(parameters).encode()
        try:
            answer, one = await self._carrier.submit(endpoint, headers, body, parameters["task"])
        except NoInstallationError as error:
            return problem(503, "no_installation", str(error))
        if answer.status_code >= httpx.codes.BAD_REQUEST:
            return answer
        return JSONResponse(content | {"installation": one.url, "job": json.loads(bytes(answer.body))}, 202)

    async def generate(self, request: Request) -> Response:
        """``POST /generate/…``: carried to the installation where it starts soonest."""
        await self._fleet.refresh()
        task = _DEFAULT_TASKS.get(request.path_params["kind"], "")
        try:
            answer, _ = await self._carrier.submit(
                request.url.path, kept_headers(request), request.stream(), task
            )
        except NoInstallationError as error:
            return problem(503, "no_installation", str(error))
        return answer

    async def of_one_job(self, request: Request) -> Response:
        """What concerns one job or its video: carried to the installation that has it."""
        try:
            answer = await self._carrier.to_owner(request.path_params["id"].removesuffix(".mp4"), request)
        except NoInstallationError as error:
            return problem(503, "no_installation", str(error))
        return answer or problem(404, "job_not_found", "No installation has such a job.")

    async def models(self, _request: Request) -> Response:
        """``GET /models``: those of all installations together."""
        await self._fleet.refresh()
        return JSONResponse({"models": self._fleet.models()})

    async def health(self, _request: Request) -> Response:
        """``GET /health``: which installations answer; 503 where none does."""
        await self._fleet.refresh()
        up = {one.url: bool(one.models) for one in self._fleet.installations}
        status = "ok" if all(up.values()) else "degraded" if any(up.values()) else "unavailable"
        return JSONResponse({"status": status, "installations": up}, 200 if any(up.values()) else 503)


def problem(
    status: int, code: str, detail: str, field: str = "", *, route: dict[str, Any] | None = None
) -> Response:
    """An error as RFC 9457 problem details."""
    content = {
        "type": f"urn:wanserve:problem:{code}",
        "title": code.replace("_", " ").capitalize(),
        "status": status,
        "detail": detail,
        "errors": [{"field": field, "message": detail}] if field else [],
    }
    return JSONResponse(
        content | ({"route": route} if route else {}), status, media_type="application/problem+json"
    )


def create_front(settings: FrontSettings) -> Starlette:
    """The service that the settings describe."""
    timeout = httpx.Timeout(settings.neighbour_seconds, connect=3.0)
    client = httpx.AsyncClient(timeout=timeout)
    fleet = Fleet(settings.installations, settings.installation_key, client)
    desk = open_desk(settings)
    front = Front(fleet, desk, client)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with client, desk.running():
            yield

    return Starlette(
        routes=[
            Endpoint("/api/v1/route", front.route, methods=["POST"]),
            Endpoint("/generate/{kind}", front.generate, methods=["POST"]),
            Endpoint("/jobs/{id}", front.of_one_job, methods=["GET"]),
            Endpoint("/jobs/{id}/logs", front.of_one_job, methods=["GET"]),
            Endpoint("/jobs/{id}/cancel", front.of_one_job, methods=["POST"]),
            Endpoint("/videos/{id}", front.of_one_job, methods=["GET", "DELETE"]),
            Endpoint("/models", front.models),
            Endpoint("/health", front.health),
        ],
        lifespan=lifespan,
    )


async def _bounded(request: Request) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_QUERY_BYTES:
            return b"null"  # no query is that long; refused like anything that is none
    return bytes(body)
