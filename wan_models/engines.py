"""Which tasks are served by other servers of videos, as a file of the deployment says.

The file is TOML, with a table for each task::

    [t2v-A14B]
    url = "http://gpu7:8091"
    dialect = "vllm-omni"
    key_file = "/run/secrets/omni"
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, TypeAdapter, model_validator

from wan_models.catalog import CATALOG
from wan_models.errors import ModelsError

Dialect = Literal["vllm-omni", "sglang"]

_TASKS: Mapping[Dialect, frozenset[str]] = MappingProxyType(
    {
        "vllm-omni": frozenset({"t2v-A14B", "i2v-A14B", "ti2v-5B", "s2v-14B"}),
        "sglang": frozenset({"t2v-A14B", "i2v-A14B", "ti2v-5B"}),
    }
)


class EnginesError(ModelsError):
    """The file of the engines cannot be used."""


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    url: Annotated[str, Field(pattern=r"^https?://[^\s/?#@]+(/[^\s?#]*)?$")]
    dialect: Dialect
    model: str | None = None
    key: SecretStr | None = None
    key_file: Path | None = None

    @model_validator(mode="after")
    def _one_key(self) -> _Entry:
        if self.key and self.key_file:
            raise ValueError("key and key_file are one too many.")
        return self


_READER = TypeAdapter(dict[str, _Entry])


@dataclass(frozen=True, slots=True)
class RemoteEngine:
    """A server that makes the videos of a task. ``url`` has no ``/v1`` and no slash at its end."""

    task: str
    url: str
    dialect: Dialect
    model: str | None = None
    key: SecretStr | None = None


Engines = Mapping[str, RemoteEngine]
NO_ENGINES: Engines = MappingProxyType({})


def read_engines(path: Path | None) -> Engines:
    """The engines of a file by their tasks; none without a file.

    Raises:
        EnginesError: the file cannot be read, or an engine cannot serve its task.
    """
    if path is None:
        return NO_ENGINES
    try:
        entries = _READER.validate_python(tomllib.loads(path.read_text(encoding="utf-8")))
        return MappingProxyType({task: _engine(task, entry) for task, entry in entries.items()})
    except (OSError, ValueError) as error:
        raise EnginesError(f"The engines in {path} cannot be used: {error}") from None


def _engine(task: str, entry: _Entry) -> RemoteEngine:
    if task not in CATALOG:
        raise ValueError(f"There is no task {task!r}, but: {', '.join(CATALOG)}.")
    if task not in _TASKS[entry.dialect]:
        raise ValueError(
            f"{entry.dialect} does not serve {task}, but: {', '.join(sorted(_TASKS[entry.dialect]))}."
        )
    key = SecretStr(entry.key_file.read_text(encoding="utf-8").strip()) if entry.key_file else entry.key
    return RemoteEngine(task, entry.url.rstrip("/").removesuffix("/v1"), entry.dialect, entry.model, key)
