"""Weights in bfloat16: half the disk, and on a GPU the same numbers, for there they are rounded anyway."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

# The VAE and the speech encoder run in float32.
_WHOLE_PARTS = frozenset({"vae", "audio_encoder"})
# And so do these of a Wan transformer, wherever it runs: see its `_keep_in_fp32_modules` in diffusers.
_WHOLE_TENSORS = re.compile(
    r"(^|\.)(time_embedder|scale_shift_table|norm1|norm2|norm3|motion_synthesis_weight)(\.|$)"
)


def can_be_halved(path: str) -> bool:
    """Whether a file of a repository holds weights that run in bfloat16."""
    place = PurePosixPath(path)
    return place.suffix == ".safetensors" and place.parts[0] not in _WHOLE_PARTS


def halve(source: Path, target: Path) -> None:
    """Write the tensors of a safetensors file into another one, those in float32 as bfloat16.

    It takes as much of the host's memory as the smaller file.
    """
    import torch  # noqa: PLC0415 - slow to import, needed here alone
    from safetensors import safe_open  # noqa: PLC0415 - the same
    from safetensors.torch import save_file  # noqa: PLC0415 - the same

    def smaller(name: str, tensor: Any) -> Any:
        whole = tensor.dtype is not torch.float32 or _WHOLE_TENSORS.search(name)
        return tensor if whole else tensor.to(torch.bfloat16)

    opened: Callable[..., Any] = safe_open
    with opened(source, framework="pt") as file:
        tensors = {name: smaller(name, file.get_tensor(name)) for name in file.keys()}  # noqa: SIM118 - not a dict
        save_file(tensors, target, metadata=file.metadata())
