"""The parts a gateway is made of, so that a test can put in its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from starlette.requests import HTTPConnection

from api.access import Access
from api.admission import Admissions
from api.cached import Cached
from api.deadlines import Deadlines
from api.follow import Follow
from api.inputs.intake import Intake
from api.limiter import Limiter
from api.load import Load
from api.origin import Origin, origin_of
from api.outages import Outages
from api.principal import Principal, principal_of
from api.reservations import Reservations
from api.tenancy import ClientStore, TenantStore
from api.watch import Watch
from api.webhooks import Webhooks
from jobs.artifacts import ArtifactStore
from routing.desk import Desk
from telemetry.traces import Traces
from wan_models.loras import NO_LORAS, LoraCatalog
from wan_models.models_dir import InstalledModel

_SEEN = "wanserve.parts"  # in a connection's scope, once they were asked for


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What the routes work with.

    ``loras`` are the adapters that requests may name, ``deadlines`` hold for jobs that do not say.
    ``models`` are the installed ones by task, ``access`` tells who calls, ``limiter`` how often they may and
    ``admissions`` when their jobs are taken, ``reservations`` keeps idempotency keys, ``intake`` takes in
    bodies and files, ``desk`` routes queries, ``public_url`` begins absolute links in place of the address a
    request came to, pages of ``origins`` may call from browsers, and ``redirects`` tells whether clients can
    reach the bucket themselves. ``clones_voices`` tells whether the workers speak through a service,
    ``outages`` has the log tell of stores that are away, and ``traces`` records what is done for requests.
    """

    store: ClientStore
    artifacts: ArtifactStore
    models: Cached[Mapping[str, InstalledModel]]
    load: Load
    watch: Watch
    follow: Follow
    access: Access
    limiter: Limiter
    intake: Intake
    admissions: Admissions
    webhooks: Webhooks
    desk: Desk
    outages: Outages = field(default_factory=Outages)
    reservations: Reservations = field(default_factory=Reservations)
    deadlines: Deadlines = field(default_factory=Deadlines)
    loras: LoraCatalog = field(default_factory=lambda: NO_LORAS)
    public_url: str | None = None
    origins: Sequence[str] = ()
    redirects: bool = False
    clones_voices: bool = False
    traces: Traces = field(default_factory=Traces)

    def seen_by(self, principal: Principal, origin: Origin) -> Parts:
        """The same parts, with a store that shows this principal's jobs alone."""
        if isinstance(self.store, TenantStore):
            raise TypeError("These parts are somebody's already.")
        return replace(self, store=TenantStore(self.store, principal, origin, self.admissions))


def parts_of(connection: HTTPConnection) -> Parts:
    """The parts of the gateway that a request or a WebSocket came to, with its tenant's view of the store.

    Called by the endpoints: as FastAPI dependencies, parts and links made every answer a fifth slower.
    """
    seen: Parts | None = connection.scope.get(_SEEN)
    if seen is None:
        parts: Parts = connection.app.state.parts
        seen = connection.scope[_SEEN] = parts.seen_by(principal_of(connection), origin_of(connection))
    return seen
