"""LoRA adapters that requests may name: the catalog ``loras.toml`` in a directory of the server's own.

::

    [lightning]
    title = "Four steps instead of forty"
    strength = { default = 1.0, minimum = 0.5, maximum = 1.5 }
    settings = { sample_steps = 4, sample_guide_scale = 1.0, sample_shift = 5.0 }

    [lightning.tasks."t2v-A14B"]
    high = "lightning/t2v/high_noise_model.safetensors"
    low = "lightning/t2v/low_noise_model.safetensors"

    [film-grain]
    tasks."ti2v-5B".file = "film-grain.safetensors"

``settings`` are defaults that the adapter needs; what a request says itself goes before them. No torch here.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, model_validator

from wan_models.catalog import CATALOG
from wan_models.errors import InvalidRequestError, LoraCatalogError
from wan_models.fields import Scales, Shift, Steps

CATALOG_FILE = "loras.toml"
TASKS = tuple(task for task in CATALOG if task != "s2v-14B")
"""The tasks whose transformers take adapters."""

_Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
_Factor = Annotated[float, Field(ge=-4, le=4, allow_inf_nan=False)]


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Files(_Entry):
    """Files of one task, below the catalog's directory: one for every expert, or one for each of the two."""

    file: str | None = None
    high: str | None = None
    low: str | None = None

    @model_validator(mode="after")
    def _is_for_every_expert_or_for_each(self) -> Self:
        if (self.file is None) == (self.high is None and self.low is None):
            raise ValueError("give either file, or high and low (or one of these two)")
        return self


class Strength(_Entry):
    """How strongly an adapter works if a request does not say, and what a request may say."""

    default: _Factor = 1.0
    minimum: _Factor = 0.0
    maximum: _Factor = 2.0

    @model_validator(mode="after")
    def _has_its_default_within(self) -> Self:
        if not self.minimum <= self.default <= self.maximum:
            raise ValueError("the default must lie between minimum and maximum")
        return self


class LoraSettings(_Entry):
    """Defaults that an adapter was trained for."""

    sample_steps: Steps | None = None
    sample_guide_scale: Scales | None = None
    sample_shift: Shift | None = None


class _LoraEntry(_Entry):
    title: str = ""
    strength: Strength = Strength()
    settings: LoraSettings = LoraSettings()
    tasks: Mapping[str, _Files]

    @model_validator(mode="after")
    def _is_for_known_tasks(self) -> Self:
        if unknown := set(self.tasks) - set(TASKS):
            able = ", ".join(TASKS)
            raise ValueError(f"{', '.join(sorted(unknown))} takes no adapters; tasks that do: {able}")
        for task, files in self.tasks.items():
            if CATALOG[task].boundary is None and files.file is None:
                raise ValueError(f"{task} has no pair of experts; give a single file")
        return self


@dataclass(frozen=True, slots=True)
class Lora:
    """One adapter: for each task that it is installed for, a file for each of the pipeline's transformers."""

    title: str
    strength: Strength
    settings: LoraSettings
    files: Mapping[str, Mapping[str, Path]]


LoraCatalog = Mapping[str, Lora]
NO_LORAS: LoraCatalog = MappingProxyType({})

_READER = TypeAdapter(dict[_Name, _LoraEntry])


def read_loras(directory: Path | None) -> LoraCatalog:
    """Read a directory's catalog. No directory, or one without a catalog, has no adapters.

    An adapter serves a task if all its files for it are there.

    Raises:
        LoraCatalogError: the catalog is wrong, or names a file outside its directory.
    """
    if directory is None or not (directory / CATALOG_FILE).is_file():
        return NO_LORAS
    try:
        entries = _READER.validate_python(tomllib.loads((directory / CATALOG_FILE).read_text()))
        return MappingProxyType({name: _installed(entry, directory) for name, entry in entries.items()})
    except (OSError, ValueError) as error:
        raise LoraCatalogError(f"{directory / CATALOG_FILE} is no catalog of adapters: {error}") from error


def _installed(entry: _LoraEntry, directory: Path) -> Lora:
    files = {task: _files(names, task, directory) for task, names in entry.tasks.items()}
    present = {task: paths for task, paths in files.items() if all(path.is_file() for path in paths.values())}
    return Lora(entry.title, entry.strength, entry.settings, present)


def _files(names: _Files, task: str, directory: Path) -> dict[str, Path]:
    """The file of each transformer; in diffusers the first one is the high-noise expert."""
    pairs = {"transformer": names.high or names.file}
    if CATALOG[task].boundary is not None:
        pairs["transformer_2"] = names.low or names.file
    paths = {part: directory / name for part, name in pairs.items() if name}
    for path in paths.values():
        if not path.resolve().is_relative_to(directory.resolve()):
            raise ValueError(f"{path} lies outside of {directory}")
    return paths


def loras_for(task: str, loras: LoraCatalog) -> LoraCatalog:
    """The adapters that are installed for a task."""
    return {name: lora for name, lora in loras.items() if task in lora.files}


class LoraChoice(_Entry):
    """A LoRA adapter of the server's catalog, and how strongly it is to work."""

    name: Annotated[str, Field(strict=True, min_length=1, max_length=64, examples=["lightning"])]
    strength: Annotated[
        float | None,
        Field(strict=True, ge=-4, le=4, allow_inf_nan=False, description="Absent: the adapter's own."),
    ] = None


class LoraUse(_Entry):
    """An adapter as a job has it: its name, and the factor that its weights are multiplied by."""

    name: str
    strength: float


def choose_loras(choices: Iterable[LoraChoice], offered: LoraCatalog) -> tuple[LoraUse, ...]:
    """Hold what a request asks for against the adapters of its task.

    Raises:
        InvalidRequestError: there is no such adapter, it is named twice, or its strength is out of bounds.
    """
    uses: dict[str, LoraUse] = {}
    for choice in choices:
        if choice.name not in offered:
            names = ", ".join(offered) or "none"
            raise InvalidRequestError(
                "loras", f"There is no adapter {choice.name!r} for this task, but: {names}."
            )
        if choice.name in uses:
            raise InvalidRequestError("loras", f"{choice.name} is named twice.")
        uses[choice.name] = LoraUse(
            name=choice.name, strength=_strength(choice, offered[choice.name].strength)
        )
    return tuple(uses.values())


def _strength(choice: LoraChoice, bounds: Strength) -> float:
    if choice.strength is None:
        return bounds.default
    if not bounds.minimum <= choice.strength <= bounds.maximum:
        raise InvalidRequestError(
            "loras", f"The strength of {choice.name} is from {bounds.minimum} to {bounds.maximum}."
        )
    return choice.strength
