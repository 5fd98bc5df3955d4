"""Carries requests to the installation that is best for them, or that has the job they are about."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing, suppress

import httpx
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from routing.fleet import Fleet, Installation

MAX_OWNERS = 100_000  # jobs whose installation is remembered
_PASSED_ON = (
    "authorization",
    "content-type",
    "accept",
    "idempotency-key",
    "prefer",
    "range",
    "if-none-match",
    "traceparent",
    "x-request-id",
)
_PASSED_BACK = (
    *("content-type", "content-length", "content-range", "accept-ranges", "etag", "last-modified"),
    *("location", "retry-after", "preference-applied", "x-request-id"),
)
_DOWN = frozenset({502, 503, 504})


class NoInstallationError(Exception):
    """No installation answers."""

    def __init__(self) -> None:
        super().__init__("No installation that can do this answers. Try again later.")


class Carrier:
    """Sends requests on.

    Args:
        fleet: the installations.
        client: what to send with.
    """

    def __init__(self, fleet: Fleet, client: httpx.AsyncClient) -> None:
        self._fleet = fleet
        self._client = client
        self._owners: dict[str, Installation] = {}

    async def submit(
        self, path: str, headers: Mapping[str, str], body: bytes | AsyncIterator[bytes], task: str
    ) -> tuple[Response, Installation]:
        """The answer of the best installation that answers, and which that is.

        One that cannot be reached, or says that it is down, has done nothing, and the next is asked. A
        stream can be sent once: after its first byte there is no other try.

        Raises:
            NoInstallationError: there is none.
        """
        tried: set[Installation] = set()
        while one := self._fleet.best(task, tried):
            tried.add(one)
            request = self._client.build_request("POST", one.url + path, headers=headers, content=body)
            try:
                answer = await self._client.send(request)
            except (httpx.ConnectError, httpx.ConnectTimeout):
                self._fleet.lost(one)
                continue
            one.sent += 1
            if answer.status_code in _DOWN and isinstance(body, bytes):
                continue
            if answer.is_success:
                with suppress(ValueError, LookupError, TypeError):
                    self._remember(json.loads(answer.content)["id"], one)
            return Response(answer.content, answer.status_code, _returned(answer)), one
        raise NoInstallationError

    async def to_owner(self, job_id: str, request: Request) -> Response | None:
        """The answer of the installation that has a job, or None where none of those that answer has it.

        Raises:
            NoInstallationError: none answers.
        """
        answered = False
        known = self._owners.get(job_id)
        others = [one for one in self._fleet.installations if one is not known]
        for one in [known, *others] if known else others:
            try:
                answer = await self._passed(one, request)
            except httpx.TransportError:
                self._fleet.lost(one)
                continue
            answered = True
            if answer.status_code != httpx.codes.NOT_FOUND:
                self._remember(job_id, one)
                return _Passed(answer)
            await answer.aclose()
        if not answered:
            raise NoInstallationError
        return None

    async def _passed(self, one: Installation, request: Request) -> httpx.Response:
        asked = self._client.build_request(
            request.method,
            one.url + request.url.path,
            headers=kept_headers(request),
            params=request.query_params,
        )
        return await self._client.send(asked, stream=True)

    def _remember(self, job_id: str, one: Installation) -> None:
        self._owners[job_id] = one
        if len(self._owners) > MAX_OWNERS:
            del self._owners[next(iter(self._owners))]  # the oldest


class _Passed(StreamingResponse):
    """Passes an answer on as it comes, and lets go of its connection however the sending ends."""

    def __init__(self, answer: httpx.Response) -> None:
        super().__init__(answer.aiter_raw(), answer.status_code, _returned(answer))
        self._answer = answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See Starlette."""
        async with aclosing(self._answer):
            await super().__call__(scope, receive, send)


def kept_headers(request: Request) -> dict[str, str]:
    """The headers of a request that an installation needs to see."""
    return {name: value for name in _PASSED_ON if (value := request.headers.get(name))}


def _returned(answer: httpx.Response) -> dict[str, str]:
    return {name: value for name in _PASSED_BACK if (value := answer.headers.get(name))}
