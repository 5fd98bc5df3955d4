"""Which models are installed: the layout of ``MODELS_DIR/wan/<task>/`` and what makes one complete.

A model is a diffusers folder: ``model_index.json`` names the component folders, and a component in
several shards names its files in an index of its own. A folder that is still being copied lacks some
of these files, or has one that is shorter than its own header says, and does not count; nor does one that
is no more what its manifest says.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wan_models.catalog import CATALOG
from wan_models.engines import Engines
from wan_models.manifest import Manifest

MODEL_INDEX = "model_index.json"

# What each kind of component must bring; diffusers and transformers name their files so.
_CONFIG_NAMES = ("config.json", "scheduler_config.json", "tokenizer_config.json", "preprocessor_config.json")
_WEIGHTLESS = ("scheduler_config.json", "preprocessor_config.json")
_TOKENIZER_FILES = ("tokenizer.json", "spiece.model")
_WEIGHT_FILES = ("diffusion_pytorch_model.safetensors", "model.safetensors")
_SHARD_INDEXES = ("diffusion_pytorch_model.safetensors.index.json", "model.safetensors.index.json")


@dataclass(frozen=True, slots=True)
class InstalledModel:
    """A complete model on disk. A tiny one is randomly initialised and takes small sizes as well.

    ``verified`` ones were checked, file by file, when they were installed; others were copied by hand.
    ``engine`` names what serves the task in the model's stead, in which case nothing needs to be on disk.
    """

    task: str
    path: Path
    tiny: bool
    verified: bool = False
    engine: str | None = None


def model_path(models_dir: Path, task: str) -> Path:
    """Where a task's model lies, installed or not."""
    return models_dir / "wan" / task


def installed_models(models_dir: Path) -> dict[str, InstalledModel]:
    """The complete models of a models directory, in the catalog's order. An absent directory has none."""
    found = (installed_model(models_dir, task) for task in CATALOG)
    return {model.task: model for model in found if model is not None}


def served_models(models_dir: Path, engines: Engines) -> dict[str, InstalledModel]:
    """What tasks can be asked for: those of the engines, and of the complete models."""
    installed = installed_models(models_dir)
    remote = {
        task: InstalledModel(task, model_path(models_dir, task), tiny=False, engine=engine.dialect)
        for task, engine in engines.items()
    }
    both = installed | remote
    return {task: both[task] for task in CATALOG if task in both}


def installed_model(models_dir: Path, task: str) -> InstalledModel | None:
    """One task's model, or None when it is absent or incomplete."""
    path = model_path(models_dir, task)
    manifest = Manifest.read(path)
    if not (manifest.keeps_its_sizes(path) and is_complete(path)):
        return None
    return InstalledModel(task, path, tiny=manifest.tiny, verified=bool(manifest.files))


def is_complete(path: Path) -> bool:
    """Whether a diffusers folder holds every file that its own indexes ask for."""
    index = _read_json(path / MODEL_INDEX)
    if not index:
        return False
    components = list(_components(index))
    return bool(components) and all(_is_component_complete(path / name) for name in components)


def _components(index: dict[str, Any]) -> Iterator[str]:
    # An entry is [library, class]; an optional component that is left out is [null, null].
    for name, entry in index.items():
        if isinstance(entry, list) and entry and entry[0] is not None:
            yield name


def _is_component_complete(folder: Path) -> bool:
    config = next((name for name in _CONFIG_NAMES if (folder / name).is_file()), None)
    if config is None:
        return False
    if config in _WEIGHTLESS:
        return True
    if config == "tokenizer_config.json":
        return any((folder / name).is_file() for name in _TOKENIZER_FILES)
    return _has_weights(folder)


def _has_weights(folder: Path) -> bool:
    for name in _SHARD_INDEXES:
        if (folder / name).is_file():
            shards = (_read_json(folder / name) or {}).get("weight_map", {})
            return bool(shards) and all(_is_whole(folder / shard) for shard in set(shards.values()))
    return any(_is_whole(folder / name) for name in _WEIGHT_FILES)


def _is_whole(weights: Path) -> bool:
    # safetensors: eight bytes of header length, a JSON header that says where each tensor ends, the tensors.
    try:
        with weights.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if length > weights.stat().st_size:
                return False
            header = json.loads(file.read(length))
            ends = (entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__")
            return weights.stat().st_size == 8 + length + max(ends, default=0)
    except (OSError, ValueError, KeyError, AttributeError):
        return False


def _read_json(path: Path) -> dict[str, Any] | None:
    try:
        value = json.loads(path.read_bytes())
    except (OSError, ValueError):  # absent, or cut off in the middle
        return None
    return value if isinstance(value, dict) else None
