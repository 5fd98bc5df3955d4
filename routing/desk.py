"""Where queries come in: the router with everything it asks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from routing.assistant import Assistant
from routing.classifier import load_classifier
from routing.intents import Service
from routing.neighbours import Neighbours
from routing.query import RouteQuery
from routing.route import Route
from routing.router import Router
from routing.selection import ModelLoad
from routing.settings import NeighbourSettings


class Desk:
    """Routes queries with the help of the neighbours. Use within ``running``.

    Args:
        router: tells intents and makes routes.
        neighbours: the services beside this one.
        assistant: the language model's help.
    """

    def __init__(self, router: Router, neighbours: Neighbours, assistant: Assistant) -> None:
        self._router = router
        self.neighbours = neighbours
        self.assistant = assistant

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Keep in touch with the neighbours for as long as the context lasts."""
        async with self.neighbours.running():
            yield

    async def route(self, query: RouteQuery, load: Mapping[str, ModelLoad]) -> Route:
        """Where a query goes.

        Args:
            query: what was asked.
            load: how each model stands, by id; one that is left out is not installed.
        """
        first = await asyncio.to_thread(self._router.classify, query)
        found = await self.assistant.judge(query.query, query.kinds, first)
        route = await asyncio.to_thread(self._router.route, query, found, load, self.neighbours.states())
        if not query.enhance_prompt or route.service is not Service.WAN:
            return route
        return await self._elaborated(route)

    async def _elaborated(self, route: Route) -> Route:
        original: str = route.parameters["prompt"]
        prompt = await self.assistant.elaborate(original)
        if prompt is None:
            note = "The prompt is as it was: no language model elaborated it in time."
            return route.model_copy(update={"notes": [*route.notes, note]})
        parameters: dict[str, Any] = {**route.parameters, "prompt": prompt, "original_prompt": original}
        return route.model_copy(update={"parameters": parameters})


def open_desk(settings: NeighbourSettings) -> Desk:
    """The desk that the settings describe. Nothing is connected before it runs."""
    neighbours = Neighbours(settings.neighbours, settings.neighbour_seconds)
    assistant = Assistant(
        neighbours, enhance_seconds=settings.enhance_seconds, second_opinion=settings.second_opinion
    )
    return Desk(Router(load_classifier()), neighbours, assistant)
