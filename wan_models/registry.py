"""From a task to its loaded pipeline. torch is imported when the first model is loaded, and not before.

Models stay warm while there is room, and the one whose last use is longest ago goes first.
"""

from __future__ import annotations

import logging
import time
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any, cast

from telemetry.owners import for_owner
from wan_models.catalog import CATALOG, ModelSpec
from wan_models.engines import NO_ENGINES, Engines, RemoteEngine
from wan_models.errors import ModelNotInstalledError, PipelineUnavailableError, UnknownModelError
from wan_models.models_dir import InstalledModel, installed_model
from wan_models.options import PARALLEL_TASKS, PipelineOptions
from wan_models.pipeline import Pipeline, PipelineLoader
from wan_models.plan import Plan, choose_plan, needed_bytes
from wan_models.shelf import Shelf
from wan_models.weights import part_sizes, shared_digests

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryRules:
    """How a deployment wants its device's memory used.

    ``plan`` is the one that every model begins with, None for the fastest that fits. ``budget`` is how many
    bytes warm models and the video in hand may take, None for all that is free; on a CPU it is the host's.
    ``models`` is the most that are warm at once.
    """

    plan: Plan | None = None
    budget: int | None = None
    models: int = 4


@dataclass(frozen=True, slots=True)
class _Warm:
    """A loaded model: ``held`` are the bytes that it always has on the device, by what they are."""

    pipeline: Pipeline
    plan: Plan
    held: Mapping[str, int]


class Registry:
    """Loads models from a models directory, and keeps those used last warm."""

    def __init__(
        self,
        models_dir: Path,
        options: PipelineOptions | None = None,
        rules: MemoryRules | None = None,
        engines: Engines = NO_ENGINES,
    ) -> None:
        self._models_dir = models_dir
        self._engines = engines
        self._options = options or PipelineOptions()
        self._rules = rules or MemoryRules()
        self._shelf = Shelf()
        self._warm: OrderedDict[str, _Warm] = OrderedDict()
        self._at_most: dict[str, Plan] = {}
        self.loads = 0
        """How often a model was loaded."""
        self.evictions = 0
        """How often a warm model went."""

    def load(self, task: str) -> Pipeline:
        """The pipeline of a task: its engine's, the warm one, or a fresh one.

        Raises:
            UnknownModelError: the catalog has no such task.
            PipelineUnavailableError: this version cannot run it.
            ModelNotInstalledError: its weights are absent or incomplete.
        """
        if task in self._engines:
            return _remote(self._engines[task])
        if task in self._warm:
            self._warm.move_to_end(task)
            return self._warm[task].pipeline
        where = _pipeline_of(task)
        model = installed_model(self._models_dir, task)
        if model is None:
            raise ModelNotInstalledError(task)
        warm = self._load(CATALOG[task], where, model)
        self._warm[task] = warm
        self.loads += 1
        return warm.pipeline

    def lower(self, task: str) -> bool:
        """Note that a task ran out of memory. Once everything is freed, it may be tried again.

        Returns:
            Whether it may have enough then: others were warm beside it, or a smaller plan is left.
        """
        if len(self._warm) > 1:
            return True
        warm = self._warm.get(task)
        plan = (warm.plan if warm else self._at_most.get(task, self._rules.plan or Plan.RESIDENT)).smaller
        if plan is None or not _memory().has_gpu():
            return False
        self._at_most[task] = plan
        return True

    def _open(self, where: str, model: InstalledModel, options: PipelineOptions) -> Pipeline:
        if options.context_parallel == 1:
            return _import(where)(model.path, options)
        if model.task not in PARALLEL_TASKS:
            return _import(where)(model.path, replace(options, context_parallel=1))
        parallel = import_module("wan_models.pipelines.parallel")
        return cast("Pipeline", parallel.ParallelPipeline(where, model.path, options))

    def free(self) -> None:
        """Let go of every model and of the memory that it had."""
        self.evictions += len(self._warm)
        self._warm.clear()
        _memory().free_memory()

    def clean(self) -> None:
        """Clean up behind a run: what it left goes, the models stay."""
        if _memory().has_gpu():
            _memory().free_memory()

    def _load(self, spec: ModelSpec, where: str, model: InstalledModel) -> _Warm:
        sizes = part_sizes(model.path, _memory().bytes_each())
        digests = shared_digests(model.path)
        names = {part: digests.get(part, f"{spec.id}/{part}") for part in sizes}
        working = 0 if model.tiny else int(spec.working_gb * 1e9)
        plan = self._plan(spec.id, sizes, working)
        while self._warm and not self._has_room(plan, sizes, names, working):
            self._evict()
        resident = plan is Plan.RESIDENT
        options = replace(
            self._options,
            plan=plan,
            shelf=self._shelf if resident else Shelf(),  # a part that moves about is nobody else's
            shared=digests,
        )
        needed, free = needed_bytes(plan, sizes) + working, self._free()
        told = for_owner(f"Loading {spec.id}")
        _log.info("Loading %s: plan %s, %.1f of %.1f GB", spec.id, plan, needed / 1e9, free / 1e9, extra=told)
        start = time.perf_counter()
        pipeline = self._open(where, model, options)
        _log.info("Loaded %s in %.1f s", spec.id, time.perf_counter() - start, extra=for_owner())
        return _Warm(pipeline, plan, {names[part]: size for part, size in sizes.items()} if resident else {})

    def _plan(self, task: str, sizes: Mapping[str, int], working: int) -> Plan:
        """The plan that a model gets if it may have the device for itself: others go for it."""
        if self._rules.plan:
            plan = self._rules.plan
        elif _memory().has_gpu():
            plan = choose_plan(sizes, working, self._free() + sum(self._held().values()))
        else:
            plan = Plan.RESIDENT
        return max(plan, self._at_most.get(task, plan), key=list(Plan).index)

    def _has_room(self, plan: Plan, sizes: Mapping[str, int], names: Mapping[str, str], working: int) -> bool:
        """Whether one more model may be warm. What a resident one shares with others is there already."""
        held = self._held() if plan is Plan.RESIDENT else {}
        more = {part: size for part, size in sizes.items() if names[part] not in held}
        # Processes that share a model meet once, and belong to that one.
        most = self._rules.models if self._options.context_parallel == 1 else 1
        if sum(sizes.values()) > _memory().host_free_bytes():
            return False  # a model is read there, and one that is offloaded stays there
        return len(self._warm) < most and needed_bytes(plan, more) + working <= self._free()

    def _free(self) -> int:
        """Bytes that the device and the rules leave beside what is warm."""
        free: int = _memory().free_bytes()
        if self._rules.budget is None:
            return free
        return min(free, self._rules.budget - sum(self._held().values()))

    def _held(self) -> dict[str, int]:
        return {name: size for warm in self._warm.values() for name, size in warm.held.items()}

    def _evict(self) -> None:
        task = next(iter(self._warm))
        del self._warm[task]  # not bound to a name here, which would keep its memory
        self.evictions += 1
        _log.info("Letting go of %s, whose last use is longest ago", task)
        _memory().free_memory()


def _remote(engine: RemoteEngine) -> Pipeline:
    pipeline: Pipeline = import_module("wan_models.pipelines.remote").RemotePipeline(engine)
    return pipeline


def _memory() -> Any:
    return import_module("wan_models.pipelines.memory")


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
