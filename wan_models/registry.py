"""From a task to its loaded pipeline. torch is imported when the first model is loaded, and not before."""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import cast

from wan_models.catalog import CATALOG
from wan_models.errors import ModelNotInstalledError, PipelineUnavailableError, UnknownModelError
from wan_models.models_dir import InstalledModel, installed_model
from wan_models.options import PARALLEL_TASKS, PipelineOptions
from wan_models.pipeline import Pipeline, PipelineLoader


class Registry:
    """Loads models from a models directory and keeps the one used last warm."""

    def __init__(self, models_dir: Path, options: PipelineOptions | None = None) -> None:
        self._models_dir = models_dir
        self._options = options or PipelineOptions()
        self._warm: tuple[str, bool, Pipeline] | None = None

    def load(self, task: str, *, offload: bool = False) -> Pipeline:
        """The pipeline of a task: the warm one, or a fresh one in its place.

        Args:
            task: one of the catalog.
            offload: keep only the part that is in use in the device's memory. A pipeline that was loaded
                so stays so while it is warm.

        Raises:
            UnknownModelError: the catalog has no such task.
            PipelineUnavailableError: this version cannot run it.
            ModelNotInstalledError: its weights are absent or incomplete.
        """
        if self._warm and self._warm[0] == task and self._warm[1] >= offload:
            return self._warm[2]
        where = _pipeline_of(task)
        model = installed_model(self._models_dir, task)
        if model is None:
            raise ModelNotInstalledError(task)
        if self._warm:
            self.free()  # two models at once may not fit: the old one goes before the new one comes
        pipeline = self._open(where, model, replace(self._options, offload=offload))
        self._warm = (task, offload, pipeline)
        return pipeline

    def _open(self, where: str, model: InstalledModel, options: PipelineOptions) -> Pipeline:
        if options.context_parallel == 1:
            return _import(where)(model.path, options)
        if model.task not in PARALLEL_TASKS:
            return _import(where)(model.path, replace(options, context_parallel=1))
        parallel = import_module("wan_models.pipelines.parallel")
        return cast("Pipeline", parallel.ParallelPipeline(where, model.path, options))

    def free(self) -> None:
        """Let go of every model and of the memory that it had."""
        self._warm = None
        import_module("wan_models.pipelines.memory").free_memory()


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
