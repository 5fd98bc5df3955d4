"""What a request leaves open: the model's official defaults, a preset's share of them, an adapter's needs.

A preset trades quality for time. What a request says itself always goes before it; docs/controls.md has
the table. No torch here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Literal, get_args

from wan_models.catalog import FrameRule, Guidance, Kind, ModelSpec, Size
from wan_models.loras import Lora

PresetName = Literal["quality", "balanced", "fast", "draft", "lightning"]
PRESETS: tuple[PresetName, ...] = get_args(PresetName)

LIGHTNING = "lightning"
"""The preset that stands for the adapter of this name."""


@dataclass(frozen=True, slots=True)
class Defaults:
    """The values of a request's fields that it does not give itself."""

    size: Size
    frames: int
    steps: int
    shift: float
    guidance: Guidance


@dataclass(frozen=True, slots=True)
class _Preset:
    """Shares of the official steps and frames, and whether to make the smallest official size."""

    steps: float = 1
    frames: float = 1
    small: bool = False


_PRESETS: Mapping[str, _Preset] = MappingProxyType(
    {
        "quality": _Preset(),
        "balanced": _Preset(steps=0.75),
        "fast": _Preset(steps=0.5, small=True),
        "draft": _Preset(steps=0.25, frames=0.5, small=True),
        LIGHTNING: _Preset(),
    }
)

_LENGTH_FROM_INPUT = (Kind.SPEECH_TO_VIDEO, Kind.ANIMATION)  # there frame_num says something else


def defaults_of(spec: ModelSpec, preset: PresetName | None, loras: Iterable[Lora]) -> Defaults:
    """The defaults of a request: the model's, as the preset has them, as the adapters need them.

    Args:
        spec: the model.
        preset: the preset that the request names; none is ``quality``.
        loras: the adapters that it uses; the first one that needs something has its way.
    """
    share = _PRESETS[preset or "quality"]
    whole = spec.kind in _LENGTH_FROM_INPUT
    size = min(spec.sizes, key=lambda size: size.width * size.height) if share.small else spec.sizes[0]
    defaults = Defaults(
        size=size,
        frames=spec.frames.default if whole else _share_of_frames(spec.frames, share.frames),
        steps=round(spec.steps * share.steps),
        shift=spec.shift,
        guidance=spec.guidance,
    )
    for lora in reversed(tuple(loras)):
        defaults = _as_needed(defaults, lora)
    return defaults


def _share_of_frames(rule: FrameRule, share: float) -> int:
    frames = round(rule.default * share)
    return frames if rule.allows(frames) else rule.nearest(frames)[0]


def _as_needed(defaults: Defaults, lora: Lora) -> Defaults:
    needs = lora.settings
    return replace(
        defaults,
        steps=needs.sample_steps or defaults.steps,
        shift=needs.sample_shift or defaults.shift,
        guidance=Guidance(*needs.sample_guide_scale) if needs.sample_guide_scale else defaults.guidance,
    )
