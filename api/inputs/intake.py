"""What a gateway takes bodies and files in with, made from its settings."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

from anyio import CapacityLimiter

from api.body import Patience
from api.inputs.assets import Assets
from api.inputs.gather import Gatherer
from api.inputs.sources import Sources
from api.settings import GatewaySettings
from jobs.artifacts import ArtifactStore
from jobs.connect import open_disks
from jobs.disks import Disks
from jobs.outbound import Outbound, Resolver, system_resolver
from wan_models.inspection import Inspector

_AT_ONCE = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Intake:
    """``max_bytes`` bounds a body with files, ``disks`` have room for it.

    ``threads``, by tenant, are for slow work such as gathering inputs: apart from those that answer all
    else, and from each other, so that nobody's slow servers hold others up.
    """

    gatherer: Gatherer
    sources: Sources
    assets: Assets
    disks: Disks
    max_bytes: int
    patience: Patience
    threads: defaultdict[str, CapacityLimiter] = field(
        default_factory=lambda: defaultdict(lambda: CapacityLimiter(_AT_ONCE))
    )


def open_intake(
    settings: GatewaySettings, artifacts: ArtifactStore, resolve: Resolver = system_resolver
) -> Intake:
    """The intake that the settings describe. ``resolve`` finds the addresses of input URLs."""
    private_hosts = [host.strip().lower() for host in (settings.input_private_hosts or "").split(",")]
    assets = Assets(artifacts, settings.upload_seconds)
    sources = Sources(
        assets=assets,
        outbound=Outbound([host for host in private_hosts if host], resolve),
        inputs_dir=settings.inputs_dir,
        max_bytes=settings.max_upload_bytes,
        url_seconds=settings.input_url_seconds,
    )
    disks = open_disks(settings)
    return Intake(
        gatherer=Gatherer(sources, Inspector(), disks),
        sources=sources,
        assets=assets,
        disks=disks,
        max_bytes=settings.max_upload_bytes,
        patience=Patience(settings.body_seconds),
    )
