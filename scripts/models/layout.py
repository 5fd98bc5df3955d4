"""Which files of a repository a model is made of; pictures and other formats stay there."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import PurePosixPath

from scripts.models.hub import HubFile
from wan_models.models_dir import MODEL_INDEX

# Not the variants, such as model.fp16.safetensors.
_WEIGHTS = re.compile(r"(diffusion_pytorch_model|model)(-\d{5}-of-\d{5})?\.safetensors")
_TEXTS = frozenset({".json", ".txt", ".model"})

# Of Wan-AI/Wan2.2-S2V-14B, which has no index; see wan_models.pipelines.s2v.original.
_ORIGINAL_FILES = frozenset({"config.json", "models_t5_umt5-xxl-enc-bf16.pth", "Wan2.1_VAE.pth"})
_ORIGINAL_FOLDERS = frozenset({"google/umt5-xxl", "wav2vec2-large-xlsr-53-english"})


def needed_files(files: Iterable[HubFile]) -> list[HubFile]:
    """The files that make a model run, small ones first: what is wrong with them shows early."""
    found = list(files)
    wanted = _of_diffusers if any(file.path == MODEL_INDEX for file in found) else _of_original
    return sorted(_chosen(found, wanted), key=lambda file: (file.size, file.path))


def _chosen(files: list[HubFile], wanted: Callable[[PurePosixPath], bool]) -> list[HubFile]:
    return [file for file in files if wanted(PurePosixPath(file.path))]


def _of_diffusers(path: PurePosixPath) -> bool:
    folders = len(path.parts) - 1
    return str(path) == MODEL_INDEX or (folders == 1 and _is_part(path.name))


def _of_original(path: PurePosixPath) -> bool:
    if len(path.parts) == 1:
        return path.name in _ORIGINAL_FILES or path.name.startswith("diffusion_pytorch_model")
    return str(path.parent) in _ORIGINAL_FOLDERS and _is_part(path.name)


def _is_part(name: str) -> bool:
    return bool(_WEIGHTS.fullmatch(name)) or PurePosixPath(name).suffix in _TEXTS
