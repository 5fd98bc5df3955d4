"""The parts a gateway is made of, so that a test can put in its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from starlette.requests import HTTPConnection

from api.cached import Cached
from api.follow import Follow
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
    follow: Follow
    public_url: str | None = None


def parts_of(connection: HTTPConnection) -> Parts:
    """The parts of the gateway that a request or a WebSocket came to.

    Called by the endpoints: as FastAPI dependencies, parts and links made every answer a fifth slower.
    """
    parts: Parts = connection.app.state.parts
    return parts
