"""Hearing of jobs as things happen to them: server-sent events, and a WebSocket for those who prefer one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request, Response, WebSocket
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel, Field
from starlette.requests import HTTPConnection

from api.event_stream import EventStream
from api.event_view import EventView, event_view
from api.follow import Happening
from api.links import Links
from api.names import check_job_id
from api.openapi import PROBLEMS
from api.parts import parts_of
from api.principal import principal_of
from api.query import StrictRoute
from api.refusals import RefusedError
from jobs.errors import JobNotFoundError, StoreUnavailableError
from jobs.keys import TENANT_PATTERN
from jobs.state import Job

router = APIRouter(tags=["events"], responses=PROBLEMS, route_class=StrictRoute)

DONE, TRY_AGAIN = 1000, 1012  # https://www.iana.org/assignments/websocket/websocket.xhtml
ADMITTED_SECONDS = 10.0  # so long a key is taken to be good; then it may have been revoked
_STREAM: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "Server-sent events, each with an EventView as its data.",
        "content": {"text/event-stream": {"schema": {"$ref": "#/components/schemas/EventView"}}},
    }
}
_ENDED: dict[int | str, dict[str, Any]] = {204: {"description": "There is nothing left to tell."}}
_RESUME = "The id of the last event that the client has; what came after it is told first."
Number = Annotated[int, Header(alias="Last-Event-ID", ge=0, le=10**9, description=_RESUME)]
Cursor = Annotated[
    str | None, Header(alias="Last-Event-ID", pattern=r"^[0-9]{1,15}-[0-9]{1,15}$", description=_RESUME)
]


class Whose(BaseModel, extra="forbid"):
    """Whose jobs to tell of."""

    tenant: Annotated[str | None, Field(pattern=TENANT_PATTERN, description="For admins.")] = None


class Since(BaseModel, extra="forbid"):
    """From where to tell a job's events: ``after`` is the id of the last one that the client has."""

    after: Annotated[int, Field(ge=0, le=10**9)] = 0


@router.get("/jobs/{job_id}/events", responses=_STREAM | _ENDED, response_class=Response)
async def follow_job(job_id: str, request: Request, last_event_id: Number = 0) -> Response:
    """Everything that happened to a job and all that will, until it has ended."""
    job, newest = await _job(job_id, request)
    if job.state.is_final and last_event_id >= newest:
        return Response(status_code=204)  # a browser that is told so stops coming back
    follow = parts_of(request).follow
    return EventStream(_views(follow.job(job.id, last_event_id), request))


@router.get("/events", responses=_STREAM, response_class=Response)
async def follow_tenant(
    request: Request, query: Annotated[Whose, Query()], last_event_id: Cursor = None
) -> Response:
    """What happens to all of your jobs, from now on or from where a client left off."""
    parts, whose = parts_of(request), query.tenant or principal_of(request).tenant
    newest = await run_in_threadpool(parts.store.history_end, whose)
    return EventStream(_views(parts.follow.tenant(whose, last_event_id or newest), request))


@router.websocket("/ws/jobs/{job_id}")
async def follow_job_by_socket(job_id: str, socket: WebSocket, query: Annotated[Since, Query()]) -> None:
    """The same events as JSON messages, one each; what the client says is not listened to."""
    job, _ = await _job(job_id, socket)
    await socket.accept()
    views = _views(parts_of(socket).follow.job(job.id, query.after), socket)
    hung_up = asyncio.create_task(_until_hung_up(socket))
    telling = asyncio.create_task(_tell(socket, views))
    await asyncio.wait([hung_up, telling], return_when=asyncio.FIRST_COMPLETED)
    for task in (hung_up, telling):
        task.cancel()
    await asyncio.gather(hung_up, telling, return_exceptions=True)


async def _job(job_id: str, connection: HTTPConnection) -> tuple[Job, int]:
    """The job, and the number of its newest event."""
    store = parts_of(connection).store
    job = await run_in_threadpool(store.get, check_job_id(job_id))
    events = await run_in_threadpool(store.events, job.id)
    return job, events[-1].id


async def _views(
    happenings: AsyncGenerator[Happening | None], connection: HTTPConnection
) -> AsyncGenerator[EventView | None]:
    """The happenings as clients see them, until the job is removed or the client's key is revoked."""
    parts, links, clock = parts_of(connection), Links(connection), asyncio.get_running_loop().time
    admitted_until = clock() + ADMITTED_SECONDS
    async with aclosing(happenings):
        with suppress(JobNotFoundError, RefusedError):
            async for happening in happenings:
                if clock() > admitted_until:
                    await _admit_again(connection)
                    admitted_until = clock() + ADMITTED_SECONDS
                yield None if happening is None else event_view(happening, parts.load, links)


async def _admit_again(connection: HTTPConnection) -> None:
    with suppress(StoreUnavailableError):  # it was good when the stream began
        await parts_of(connection).access.admit(connection)


async def _tell(socket: WebSocket, views: AsyncGenerator[EventView | None]) -> None:
    ended = False
    async with aclosing(views):
        async for view in views:
            if view is not None:  # the server's own pings keep the connection open
                await socket.send_text(view.model_dump_json())
                ended = view.job is not None
    await socket.close(code=DONE if ended else TRY_AGAIN)


async def _until_hung_up(socket: WebSocket) -> None:
    while (await socket.receive())["type"] != "websocket.disconnect":
        pass
