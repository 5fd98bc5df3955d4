"""How much the blocks of a model add at each noise level: what MagCache foresees their work by.

A model is measured once, over one video; the file lies in its folder. It has a curve for each transformer,
from which the ratios follow for any number of steps, any shift, and any place where experts change over.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from wan_models.options import MAGNITUDES

Curve = Sequence[tuple[float, float]]
"""Timesteps, falling, and the magnitude at each as a multiple of that at the first."""


def read_curves(folder: Path) -> Mapping[str, Curve]:
    """The curves of a model by the names of its transformers; none where it was not measured."""
    try:
        found = json.loads((folder / MAGNITUDES).read_bytes())
        return {str(name): [(float(at), float(size)) for at, size in curve] for name, curve in found.items()}
    except (OSError, ValueError, TypeError, AttributeError):  # absent, or no such file at all
        return {}


def write_curves(folder: Path, curves: Mapping[str, Curve]) -> None:
    """Keep the curves of a model, whole or not at all."""
    scratch = folder / f".{MAGNITUDES}"
    scratch.write_text(json.dumps(curves, indent=1) + "\n")
    scratch.replace(folder / MAGNITUDES)


def ratios(curve: Curve, timesteps: Sequence[float]) -> list[float]:
    """How much larger the blocks' work is at each timestep than at the one before; 1 at the first.

    Beyond what was measured it is 0, which MagCache takes for a change that it must not leave out.
    """
    at, sizes = zip(*reversed(curve), strict=True)
    found = np.interp(timesteps, at, sizes, left=0.0, right=0.0).tolist()
    return [1.0, *(after / before if before else 0.0 for before, after in pairwise(found))]


def timesteps_by_expert(scheduler: Any, steps: int, boundary: float | None) -> dict[str, list[float]]:
    """The timesteps that each transformer of a pipeline of diffusers takes, by its name.

    Args:
        scheduler: the pipeline's, with the shift of the run; it is left alone.
        steps: of the whole run.
        boundary: the fraction of the schedule where the experts change over, None for one transformer.
    """
    own = type(scheduler).from_config(scheduler.config)
    own.set_timesteps(steps)
    timesteps = own.timesteps.tolist()
    if boundary is None:
        return {"transformer": timesteps}
    change = boundary * own.config.num_train_timesteps
    return {
        "transformer": [at for at in timesteps if at >= change],
        "transformer_2": [at for at in timesteps if at < change],
    }
