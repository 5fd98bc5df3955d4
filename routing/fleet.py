"""Several installations of this service, each known by its ``/models``."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

import httpx

from routing.breaker import Breaker
from routing.selection import ModelLoad
from wan_models.catalog import CATALOG

FRESH_SECONDS = 1.0
PROBE_SECONDS = 3.0

_log = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class Installation:
    """One installation. ``models`` is its list by id, as of ``read_at``; empty while it does not answer."""

    url: str
    breaker: Breaker
    models: dict[str, dict[str, Any]] = field(default_factory=dict)
    read_at: float = -FRESH_SECONDS
    sent: int = 0

    def load(self, task: str) -> ModelLoad:
        """How one model stands here."""
        model = self.models.get(task, {})
        return ModelLoad(
            installed=bool(model.get("available")),
            workers=int(model.get("workers", 0)),
            queued=int(model.get("queued", 0)),
        )


class Fleet:
    """The installations, and which of them is best for a task.

    Args:
        urls: where they are.
        key: API key to read their models with, None where they ask for none.
        client: what to ask with.
    """

    def __init__(self, urls: Iterable[str], key: str | None, client: httpx.AsyncClient) -> None:
        self.installations = [Installation(url.rstrip("/"), Breaker(monotonic)) for url in urls]
        self._headers = {"authorization": f"Bearer {key}"} if key else {}
        self._client = client
        self._reading = asyncio.Lock()

    async def refresh(self) -> None:
        """Read the models of every installation that may be asked and was not within the last second."""
        async with self._reading:
            stale = [one for one in self.installations if monotonic() - one.read_at >= FRESH_SECONDS]
            await asyncio.gather(*(self._read(one) for one in stale if one.breaker.may_try()))

    def loads(self) -> dict[str, ModelLoad]:
        """Each model over all installations: where it is installed anywhere it is installed."""
        return {task: _together([one.load(task) for one in self.installations]) for task in CATALOG}

    def models(self) -> list[dict[str, Any]]:
        """The models as ``/models`` lists them, with the workers and queues of all installations together."""
        merged: dict[str, dict[str, Any]] = {}
        for one in self.installations:
            for task, model in one.models.items():
                known = merged.setdefault(task, {**model, "workers": 0, "queued": 0})
                for name in ("installed", "available"):
                    known[name] = known[name] or model[name]
                for name in ("workers", "queued"):
                    known[name] += model[name]
        return list(merged.values())

    def best(self, task: str, tried: Collection[Installation] = ()) -> Installation | None:
        """Where a job of this task starts soonest, as far as known; None where none has the model.

        Those with live workers first, then by the jobs that wait for each worker, then in turn.
        """
        able = [one for one in self.installations if one not in tried and one.load(task).installed]

        def burden(one: Installation) -> tuple[bool, float, int]:
            load = one.load(task)
            return not load.workers, load.queued / max(1, load.workers), one.sent

        return min(able, key=burden, default=None)

    async def _read(self, one: Installation) -> None:
        try:
            answer = await self._client.get(f"{one.url}/models", headers=self._headers, timeout=PROBE_SECONDS)
            answer.raise_for_status()
            one.models = {model["id"]: model for model in answer.json()["models"]}
        except (httpx.HTTPError, ValueError, LookupError, TypeError) as error:
            one.models = {}
            one.breaker.failed()
            _log.warning("%s does not tell its models: %s", one.url, type(error).__name__)
        else:
            one.breaker.succeeded()
        one.read_at = monotonic()

    def lost(self, one: Installation) -> None:
        """Note that an installation does not answer."""
        one.models = {}
        one.breaker.failed()
        _log.warning("%s does not answer", one.url)


def _together(loads: Collection[ModelLoad]) -> ModelLoad:
    return ModelLoad(
        installed=any(load.installed for load in loads),
        workers=sum(load.workers for load in loads),
        queued=sum(load.queued for load in loads),
    )
