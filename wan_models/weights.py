"""How large the parts of a model are, and which of them are the same as another model's. No torch here."""

from __future__ import annotations

import hashlib
import json
from math import prod
from pathlib import Path

from wan_models.manifest import Manifest

_WHOLE_PARTS = frozenset({"vae", "audio_encoder"})  # run in float32 everywhere
_WHOLE_BYTES = 4
_SHAREABLE = ("text_encoder", "tokenizer", "vae")


def part_sizes(folder: Path, bytes_each: int) -> dict[str, int]:
    """Bytes of each part's weights as they run, by its name.

    Args:
        folder: the model's.
        bytes_each: of a number of a part that need not run in float32: 2 on a GPU, 4 on a CPU.
    """
    sizes: dict[str, int] = {}
    for file in sorted(folder.glob("*/*.safetensors")):
        part = file.parent.name
        each = _WHOLE_BYTES if part in _WHOLE_PARTS else bytes_each
        sizes[part] = sizes.get(part, 0) + _numbers(file) * each
    return sizes


def shared_digests(folder: Path) -> dict[str, str]:
    """By its name, the digest of each part that other models may have as well.

    A folder whose files nobody checked has none: nothing says that they are what they seem.
    """
    entries = Manifest.read(folder).files
    digests = {}
    for part in _SHAREABLE:
        files = sorted((name, entry.sha256) for name, entry in entries.items() if name.startswith(f"{part}/"))
        if files:
            digests[part] = hashlib.sha256(json.dumps(files).encode()).hexdigest()
    return digests


def _numbers(file: Path) -> int:
    """How many numbers a safetensors file holds, by its header."""
    with file.open("rb") as stream:
        header = json.loads(stream.read(int.from_bytes(stream.read(8), "little")))
    return sum(prod(entry["shape"]) for name, entry in header.items() if name != "__metadata__")
