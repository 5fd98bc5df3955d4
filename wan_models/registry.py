"""From a task to its loaded pipeline. torch is imported when the first model is loaded, and not before."""

from __future__ import annotations

import gc
from importlib import import_module
from pathlib import Path
from typing import cast

from wan_models.catalog import CATALOG
from wan_models.errors import ModelNotInstalledError, PipelineUnavailableError, UnknownModelError
from wan_models.models_dir import installed_model
from wan_models.pipeline import Pipeline, PipelineLoader


class Registry:
    """Loads models from a models directory and keeps the one used last warm."""

    def __init__(self, models_dir: Path) -> None:
        self._models_dir = models_dir
        self._warm: tuple[str, Pipeline] | None = None

    def load(self, task: str) -> Pipeline:
        """The pipeline of a task: the warm one, or a fresh one in its place.

        Raises:
            UnknownModelError: the catalog has no such task.
            PipelineUnavailableError: this version cannot run it.
            ModelNotInstalledError: its weights are absent or incomplete.
        """
        if self._warm and self._warm[0] == task:
            return self._warm[1]
        where = _pipeline_of(task)
        model = installed_model(self._models_dir, task)
        if model is None:
            raise ModelNotInstalledError(task)
        self._free()
        pipeline = _import(where)(model.path)
        self._warm = (task, pipeline)
        return pipeline

    def _free(self) -> None:
        """Two models at once may not fit: the old one goes before the new one comes."""
        self._warm = None
        gc.collect()


def _pipeline_of(task: str) -> str:
    if task not in CATALOG:
        raise UnknownModelError(task)
    where = CATALOG[task].pipeline
    if where is None:
        raise PipelineUnavailableError(task)
    return where


def _import(where: str) -> PipelineLoader:
    module, name = where.split(":")
    return cast("PipelineLoader", getattr(import_module(module), name))
