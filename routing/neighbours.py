"""The services beside this one that answer what is no video: language model, speech and pictures.

Each speaks OpenAI's API and may have several servers. They are asked now and then whether they are there;
a request goes to the least busy one, and on to another while nothing of an answer has come.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, aclosing, asynccontextmanager, suppress
from dataclasses import dataclass
from time import monotonic
from typing import Any

import httpx

from routing.intents import Service
from routing.replicas import NoReplicaError, Replica, Replicas
from routing.router import DEFAULT_VOICE, Neighbour

PROBE_SECONDS = 10.0
PROBE_TIMEOUT = 3.0
CONNECT_SECONDS = 3.0
_BUSY = frozenset({429, 502, 503, 504})  # another server may do better

_log = logging.getLogger(__name__)


class NeighbourDownError(Exception):
    """No server of a service answers. ``service`` names it."""

    def __init__(self, service: Service) -> None:
        super().__init__(f"No {service} service answers. Try again later.")
        self.service = service


@dataclass(frozen=True, slots=True, kw_only=True)
class NeighbourConfig:
    """Where a service is and how to speak to it."""

    urls: tuple[str, ...]
    key: str | None = None
    model: str | None = None
    voice: str | None = None


class Neighbours:
    """The configured services. Use within ``running``.

    Args:
        configs: the services that there are.
        seconds: how long an answer may take to begin, and to go on.
    """

    def __init__(self, configs: Mapping[Service, NeighbourConfig], seconds: float = 120) -> None:
        self._configs = dict(configs)
        self._replicas = {service: Replicas(config.urls, monotonic) for service, config in configs.items()}
        self._timeout = httpx.Timeout(seconds, connect=CONNECT_SECONDS)
        self._client: httpx.AsyncClient | None = None

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Keep connections, and keep asking the servers how they are, for as long as the context lasts."""
        async with AsyncExitStack() as stack:
            if self._configs:
                self._client = await stack.enter_async_context(httpx.AsyncClient(timeout=self._timeout))
                probing = asyncio.create_task(self._keep_probing(self._client))
                stack.push_async_callback(_stopped, probing)
            yield

    def states(self) -> dict[Service, Neighbour]:
        """How each service stands."""
        return {
            service: Neighbour(
                available=self._replicas[service].available,
                configured=True,
                model=config.model or self._replicas[service].model,
                voice=config.voice or DEFAULT_VOICE,
            )
            for service, config in self._configs.items()
        }

    @asynccontextmanager
    async def post(
        self, service: Service, path: str, *, seconds: float | None = None, **body: Any
    ) -> AsyncIterator[httpx.Response]:
        """Send a request and give its answer, whatever its status, to be read within the context.

        Args:
            service: who is asked.
            path: of the endpoint.
            seconds: how long it may take, in place of the usual.
            **body: as httpx takes it: ``json``, or ``data`` and ``files``.

        Raises:
            NeighbourDownError: no server answers, or none is configured.
        """
        replicas, client = self._replicas.get(service), self._client
        if replicas is None or client is None:
            raise NeighbourDownError(service)
        timeout = self._timeout if seconds is None else httpx.Timeout(seconds)
        tried: set[Replica] = set()
        while True:
            try:
                with replicas.lease(tried) as replica:
                    tried.add(replica)
                    request = client.build_request(
                        "POST", replica.url + path, headers=self._headers(service), timeout=timeout, **body
                    )
                    answer = await _sent(client, request, replica, is_last=len(tried) == len(replicas))
                    if answer is not None:
                        async with aclosing(answer):
                            yield answer
                        return
            except NoReplicaError:
                raise NeighbourDownError(service) from None

    def _headers(self, service: Service) -> dict[str, str]:
        key = self._configs[service].key
        return {} if key is None else {"authorization": f"Bearer {key}"}

    async def _keep_probing(self, client: httpx.AsyncClient) -> None:
        while True:
            probes = [
                self._probe(client, service, replica)
                for service, replicas in self._replicas.items()
                for replica in replicas
            ]
            await asyncio.gather(*probes)
            await asyncio.sleep(PROBE_SECONDS)

    async def _probe(self, client: httpx.AsyncClient, service: Service, replica: Replica) -> None:
        """Ask a server for its models. Any answer but a server's error counts: not every one has the list."""
        try:
            answer = await client.get(
                f"{replica.url}/v1/models", headers=self._headers(service), timeout=PROBE_TIMEOUT
            )
        except httpx.TransportError:
            replica.breaker.failed()
            return
        if answer.is_server_error:
            replica.breaker.failed()
            return
        replica.breaker.succeeded()
        with suppress(ValueError, LookupError, TypeError):
            replica.model = str(answer.json()["data"][0]["id"])


async def _sent(
    client: httpx.AsyncClient, request: httpx.Request, replica: Replica, *, is_last: bool
) -> httpx.Response | None:
    """The answer of a server, its body still to come, or None where another should be asked."""
    try:
        answer = await client.send(request, stream=True)
    except httpx.TransportError as error:
        replica.breaker.failed()
        _log.warning("%s does not answer: %s", replica.url, type(error).__name__)
        return None
    if answer.status_code not in _BUSY:
        replica.breaker.succeeded()
        return answer
    replica.breaker.failed()
    if is_last:
        return answer
    await answer.aclose()
    return None


async def _stopped(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
