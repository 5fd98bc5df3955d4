"""The parts a gateway is made of, so that a test can put in its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from api.cached import Cached
from api.links import Links
from api.load import Load
from api.watch import Watch
from jobs.artifacts import ArtifactStore
from jobs.state import Job
from jobs.store import JobStore
from wan_models.models_dir import InstalledModel


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What the routes work with.

    ``nudge`` tells the workers of a job's queue about it and never raises, ``models`` are the installed
    ones by task, and ``public_url`` begins absolute links in place of the address a request came to.
    """

    store: JobStore
    artifacts: ArtifactStore
    nudge: Callable[[Job], None]
    models: Cached[Mapping[str, InstalledModel]]
    load: Load
    watch: Watch
    public_url: str | None = None


async def _parts(request: Request) -> Parts:
    parts: Parts = request.app.state.parts
    return parts


async def _links(request: Request) -> Links:
    return Links(request, request.app.state.parts.public_url)


# Coroutines, for FastAPI runs plain functions in a thread each.
UseParts = Annotated[Parts, Depends(_parts)]
UseLinks = Annotated[Links, Depends(_links)]
