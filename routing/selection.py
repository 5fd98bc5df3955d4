"""Which model serves a video query: a pure function of what is wanted and the present load."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from wan_models.catalog import CATALOG, Kind, ModelSpec, Size

LONG_QUEUE_SECONDS = 1800.0
"""A queue counts as too long from here on, unless the client says otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelLoad:
    """How one model stands. ``eta_seconds`` is the wait for a video asked for now, None where unknown."""

    installed: bool = False
    workers: int = 0
    queued: int = 0
    eta_seconds: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What matters for the choice.

    ``seconds`` or ``frames`` is the length of the video, ``size`` its size, each None for any.
    """

    kind: Kind
    prefer_speed: bool = False
    seconds: float | None = None
    frames: int | None = None
    size: Size | None = None
    max_wait: float = LONG_QUEUE_SECONDS


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """The chosen model, the one that would have been first, and why it was passed over if it was."""

    model: ModelSpec
    preferred: ModelSpec
    obstacle: str | None = None

    @property
    def is_fallback(self) -> bool:
        """Whether another model than the preferred one serves."""
        return self.model is not self.preferred


def candidates(wish: Wish) -> list[ModelSpec]:
    """Every model that can do what is wanted, as preferred with all of them idle.

    One that makes the wanted size and length comes first; then the larger, or with ``prefer_speed`` the
    smaller.
    A picture with a text is work for a model of its own kind, and for those that animate pictures.
    """
    kinds = {wish.kind, Kind.IMAGE_TO_VIDEO} if wish.kind is Kind.TEXT_IMAGE_TO_VIDEO else {wish.kind}
    able = [spec for spec in CATALOG.values() if spec.accepts & kinds]
    direction = 1 if wish.prefer_speed else -1
    return sorted(
        able,
        key=lambda spec: (
            not _makes(spec, wish),
            spec.kind is not wish.kind and wish.kind is Kind.TEXT_IMAGE_TO_VIDEO,
            direction * spec.parameters_b,
        ),
    )


def choose(wish: Wish, load: Mapping[str, ModelLoad]) -> Choice | None:
    """The model for a query, or None where no model that could do it is installed.

    An installed model is taken before an absent one, one that makes the wanted size and length before one
    that does not, one with live workers before one without, one whose
    queue is bearable before one whose is not; among equals the preferred one. Jobs wait for workers that
    are started later, so that a model without any still serves where no other does.
    """
    order = candidates(wish)
    obstacles = {spec.id: _obstacle(spec, load.get(spec.id, ModelLoad()), wish) for spec in order}
    installed = [spec for spec in order if load.get(spec.id, ModelLoad()).installed]
    if not installed:
        return None
    best = min(installed, key=lambda spec: (not _makes(spec, wish), obstacles[spec.id][0]))  # first of equals
    preferred = order[0]
    return Choice(
        model=best,
        preferred=preferred,
        obstacle=None if best is preferred else obstacles[preferred.id][1],
    )


def _makes(spec: ModelSpec, wish: Wish) -> bool:
    """Whether the model makes a video of the wanted size and length."""
    return (
        (wish.size is None or wish.size in spec.sizes)
        and (wish.frames is None or spec.frames.allows(wish.frames))
        and (wish.seconds is None or spec.frames.maximum >= wish.seconds * spec.fps)
    )


def _obstacle(spec: ModelSpec, load: ModelLoad, wish: Wish) -> tuple[int, str]:
    """How much speaks against a model, from 0 for nothing, and what."""
    if not load.installed:
        return 3, f"{spec.id} is not installed."
    if not load.workers:
        return 2, f"No live worker serves {spec.id}."
    if load.eta_seconds is not None and load.eta_seconds > wish.max_wait:
        return 1, f"The queue of {spec.id} is too long: about {round(load.eta_seconds)} seconds."
    return 0, ""
