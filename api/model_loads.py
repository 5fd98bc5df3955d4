"""How every model stands, as routing wants to know it."""

from __future__ import annotations

from api.parts import Parts
from routing.selection import ModelLoad
from wan_models.catalog import CATALOG, ModelSpec


def model_loads(parts: Parts) -> dict[str, ModelLoad]:
    """The load of each model of the catalog, by its id."""
    return {spec.id: _load(spec, parts) for spec in CATALOG.values()}


def _load(spec: ModelSpec, parts: Parts) -> ModelLoad:
    queue = parts.load.of(spec.id)
    return ModelLoad(
        installed=spec.pipeline is not None and spec.id in parts.models.get(),
        workers=queue.workers,
        queued=queue.queued,
        eta_seconds=parts.load.next_eta(spec.id),
    )
