"""Tiny randomly initialised models, laid out as the real ones: they run the whole path and paint noise."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import mkdtemp
from types import MappingProxyType
from typing import Any

import torch
from diffusers import WanImageToVideoPipeline, WanPipeline
from transformers.utils.logging import disable_progress_bar

from wan_models.catalog import CATALOG, ModelSpec
from wan_models.manifest import Manifest
from wan_models.models_dir import installed_model, model_path
from wan_models.pipelines import tiny_parts as parts
from wan_models.pipelines.tiny_animation import animation
from wan_models.pipelines.tiny_speech import speech_to_video


def build_tiny(task: str, models_dir: Path) -> Path:
    """Build the tiny model of a task under ``models_dir/wan/<task>``, unless a complete model is there.

    The folder appears whole or not at all, also when two processes build it at once. The same
    version of torch gives the same weights everywhere.

    Returns:
        The model's folder.

    Raises:
        KeyError: there is no tiny model of this task.
    """
    target = model_path(models_dir, task)
    if installed_model(models_dir, task):
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    disable_progress_bar()  # it would tell of each file that is written
    scratch = Path(mkdtemp(prefix=f".{task}-", dir=target.parent))
    try:
        _pipeline(task).save_pretrained(scratch)
        Manifest(tiny=True).sealed(scratch).write(scratch)
        scratch.chmod(0o755)  # mkdtemp makes it private
        _move_into_place(scratch, target)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return target


def _move_into_place(scratch: Path, target: Path) -> None:
    try:
        os.replace(scratch, target)  # noqa: PTH105 - Path.replace says less of folders
    except OSError:
        if installed_model(target.parents[1], target.name) is None:
            raise  # otherwise another process was faster, and built the same


def _pipeline(task: str) -> Any:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return _BUILDERS[task](CATALOG[task])


def _text_to_video(spec: ModelSpec) -> WanPipeline:
    return WanPipeline(**_two_experts(spec, in_channels=16))


def _image_to_video(spec: ModelSpec) -> WanImageToVideoPipeline:
    # Noise, the mask that says which frames are given (4), and these frames.
    return WanImageToVideoPipeline(**_two_experts(spec, in_channels=16 + 4 + 16))


def _two_experts(spec: ModelSpec, in_channels: int) -> dict[str, Any]:
    return {
        "transformer": parts.transformer(in_channels, 16),
        "transformer_2": parts.transformer(in_channels, 16),
        "vae": parts.vae(parts.VAE_8),
        "boundary_ratio": spec.boundary,
        **parts.text_parts(),
        "scheduler": parts.scheduler(spec.shift),
    }


def _text_image_to_video(spec: ModelSpec) -> WanPipeline:
    return WanPipeline(
        transformer=parts.transformer(48, 48),
        vae=parts.vae(parts.VAE_16),
        expand_timesteps=True,
        **parts.text_parts(),
        scheduler=parts.scheduler(spec.shift),
    )


_BUILDERS: Mapping[str, Callable[[ModelSpec], Any]] = MappingProxyType(
    {
        "t2v-A14B": _text_to_video,
        "i2v-A14B": _image_to_video,
        "ti2v-5B": _text_image_to_video,
        "s2v-14B": speech_to_video,
        "animate-14B": animation,
    }
)
