"""A denoising loop's state in a file: safetensors, so that reading one never runs code."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

_FINISHED = "finished."
_SCHEDULER = "scheduler."


class CheckpointUnusableError(Exception):
    """The file is broken, or belongs to another run. Begin at the first step."""


@dataclass(frozen=True, slots=True)
class SchedulerState:
    """What a scheduler remembers between steps, by attribute: ``lower_order_nums``, ``model_outputs.0``."""

    kind: str
    numbers: Mapping[str, int]
    tensors: Mapping[str, torch.Tensor]


@dataclass(frozen=True, slots=True)
class DenoisingState:
    """Where a run is: ``step`` steps of segment ``segment`` are done, both counted from 0.

    ``latents`` are the current segment's; ``finished`` holds the final ones of each segment before it.
    Every tensor is on the CPU.
    """

    segment: int
    step: int
    latents: torch.Tensor
    finished: tuple[torch.Tensor, ...]
    scheduler: SchedulerState


def write_checkpoint(state: DenoisingState, path: Path, fingerprint: str) -> None:
    """Write a state to a file.

    Raises:
        OSError: the file cannot be written.
    """
    tensors = {"latents": state.latents}
    tensors |= {f"{_FINISHED}{index}": latents for index, latents in enumerate(state.finished)}
    tensors |= {f"{_SCHEDULER}{name}": tensor for name, tensor in state.scheduler.tensors.items()}
    tensors = {name: tensor.contiguous().clone() for name, tensor in tensors.items()}
    about = {
        "fingerprint": fingerprint,
        "segment": state.segment,
        "step": state.step,
        "scheduler": state.scheduler.kind,
        "numbers": dict(state.scheduler.numbers),
        "sha256": _digest(tensors),
    }
    try:
        save_file(tensors, path, {"about": json.dumps(about)})
    except SafetensorError as error:  # how it tells of a full disk
        raise OSError(f"{path} cannot be written: {error}") from error


def read_checkpoint(path: Path, fingerprint: str) -> DenoisingState:
    """Read a state back.

    Raises:
        CheckpointUnusableError: the file is broken, or its fingerprint is another one.
    """
    try:
        with safe_open(path, framework="pt") as file:
            about = json.loads(file.metadata()["about"])
            if about["fingerprint"] != fingerprint:
                raise CheckpointUnusableError("It belongs to another request, model or version.")
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
        if _digest(tensors) != about["sha256"]:
            raise CheckpointUnusableError("Its content has changed since it was written.")
        return _state(about, tensors)
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        raise CheckpointUnusableError(f"It cannot be read: {error}") from error


def _state(about: Mapping[str, Any], tensors: Mapping[str, torch.Tensor]) -> DenoisingState:
    finished = tuple(tensors[f"{_FINISHED}{index}"] for index in range(about["segment"]))
    kept = {
        name.removeprefix(_SCHEDULER): tensor
        for name, tensor in tensors.items()
        if name.startswith(_SCHEDULER)
    }
    scheduler = SchedulerState(about["scheduler"], about["numbers"], kept)
    return DenoisingState(about["segment"], about["step"], tensors["latents"], finished, scheduler)


def _digest(tensors: Mapping[str, torch.Tensor]) -> str:
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}\n".encode())
        digest.update(tensor.contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
