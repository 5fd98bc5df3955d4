"""Memory plans, and parts that models share, on real pipelines."""

import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate.hooks import CpuOffload
from diffusers.hooks.group_offloading import ModuleGroup

from tests.integration.ways import WAYS, Way
from wan_models.catalog import TINY_TASKS
from wan_models.manifest import Manifest
from wan_models.models_dir import model_path
from wan_models.pipelines.acceleration import transformers
from wan_models.plan import Plan
from wan_models.registry import MemoryRules, Registry
from wan_models.weights import part_sizes, shared_digests


def engine_of(pipeline: Any) -> Any:
    return getattr(pipeline, "_engine", None) or pipeline._from_text


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> Way:
    return WAYS[request.param]


def test_each_part_of_offloaded_models_computes_the_same(models_dir, warm, media, way):
    pipeline = Registry(models_dir, rules=MemoryRules(plan=Plan.GROUP_OFFLOAD)).load(way.task)
    made = pipeline.generate(way.request(), way.run(media))
    assert made.metrics["memory_plan"] == "group-offload"
    assert torch.equal(made.frames, way.frames(warm[way.task], media))
    assert torch.equal(way.frames(pipeline, media), made.frames)


class Elsewhere:
    """Stands for the host's memory, where a GPU cannot read: what is moved there turns into nonsense."""

    def __init__(self) -> None:
        self._kept: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}

    def move_there(self, tensors: Iterable[torch.Tensor]) -> None:
        for tensor in tensors:
            if tensor.is_floating_point() and id(tensor) not in self._kept:
                self._kept[id(tensor)] = tensor, tensor.data
                tensor.data = torch.full_like(tensor.data, torch.nan)

    def move_back(self, tensors: Iterable[torch.Tensor]) -> None:
        for tensor in tensors:
            if id(tensor) in self._kept:
                tensor.data = self._kept.pop(id(tensor))[1]


def tensors_of(group: ModuleGroup) -> Iterator[torch.Tensor]:
    for module in group.modules:
        yield from (*module.parameters(), *module.buffers())
    yield from (*group.parameters, *group.buffers)


def test_each_part_of_offloaded_models_is_there_when_it_works(models_dir, warm, media, way, monkeypatch):
    elsewhere = Elsewhere()

    def offload(group: ModuleGroup) -> None:
        elsewhere.move_there(tensors_of(group))

    def onload(group: ModuleGroup) -> None:
        elsewhere.move_back(tensors_of(group))

    monkeypatch.setattr(ModuleGroup, "_offload_to_memory", offload)
    monkeypatch.setattr(ModuleGroup, "_onload_from_memory", onload)
    pipeline = Registry(models_dir, rules=MemoryRules(plan=Plan.GROUP_OFFLOAD)).load(way.task)
    assert_made_from_elsewhere(pipeline, way, warm, media)


def test_each_model_of_a_pipeline_is_there_when_it_works(models_dir, warm, media, way, monkeypatch):
    """As with model offload on a GPU: when one is called, the one before it in the sequence goes."""
    elsewhere = Elsewhere()

    def init(_hook: Any, module: torch.nn.Module) -> torch.nn.Module:
        elsewhere.move_there(module.parameters())
        return module

    def called(hook: Any, module: torch.nn.Module, *args: Any, **kwargs: Any) -> Any:
        if hook.prev_module_hook:
            elsewhere.move_there(hook.prev_module_hook.model.parameters())
        elsewhere.move_back(module.parameters())
        return args, kwargs

    def place(pipe: Any, *_: Any) -> None:
        pipe.enable_model_cpu_offload(device="cpu")

    monkeypatch.setattr(CpuOffload, "init_hook", init)
    monkeypatch.setattr(CpuOffload, "pre_forward", called)
    monkeypatch.setattr("wan_models.pipelines.engine.place", place)
    assert_made_from_elsewhere(Registry(models_dir).load(way.task), way, warm, media)


def assert_made_from_elsewhere(pipeline: Any, way: Way, warm: Any, media: Path) -> None:
    blocks = engine_of(pipeline).pipe.transformer.blocks
    assert any(weight.isnan().all() for weight in blocks.parameters())
    for _ in range(2):
        assert torch.equal(way.frames(pipeline, media), way.frames(warm[way.task], media))


def test_in_8_bits_the_video_is_nearly_the_same(models_dir, media, way):
    pipeline = Registry(models_dir, rules=MemoryRules(plan=Plan.FP8)).load(way.task)
    for transformer in transformers(engine_of(pipeline).pipe).values():
        assert torch.float8_e4m3fn in {parameter.dtype for parameter in transformer.parameters()}
    made = pipeline.generate(way.request(), way.run(media))
    assert made.metrics["memory_plan"] == "fp8"
    assert torch.equal(way.frames(pipeline, media), made.frames)


@pytest.fixture
def alike(models_dir: Path, tmp_path: Path) -> Path:
    """Models that have the text encoder, the tokenizer and, but for the 5B one, the VAE in common."""
    for task in TINY_TASKS:
        folder = model_path(tmp_path, task)
        shutil.copytree(model_path(models_dir, task), folder)
        for part in ("text_encoder", "tokenizer", *(() if task == "ti2v-5B" else ("vae",))):
            shutil.rmtree(folder / part)
            shutil.copytree(model_path(models_dir, "t2v-A14B") / part, folder / part)
        Manifest(tiny=True).sealed(folder).write(folder)
    return tmp_path


def test_parts_with_the_same_files_are_loaded_once(alike):
    registry = Registry(alike, rules=MemoryRules(models=len(TINY_TASKS)))
    pipes = {task: engine_of(registry.load(task)).pipe for task in TINY_TASKS}
    assert len({id(pipe.text_encoder) for pipe in pipes.values()}) == 1
    assert len({id(pipe.tokenizer) for pipe in pipes.values()}) == 1
    assert len({id(pipe.vae) for pipe in pipes.values()}) == 2
    assert pipes["ti2v-5B"].vae is not pipes["t2v-A14B"].vae


def test_models_that_share_parts_make_the_same_videos_as_each_alone(alike, media):
    together = Registry(alike, rules=MemoryRules(models=len(TINY_TASKS)))
    for way in [*WAYS.values(), *list(WAYS.values())[::-1]]:
        alone = Registry(alike).load(way.task)
        assert torch.equal(way.frames(together.load(way.task), media), way.frames(alone, media))


def test_parts_whose_files_differ_are_not_shared(models_dir, alike):
    t2v = shared_digests(model_path(models_dir, "t2v-A14B"))
    assert t2v == shared_digests(model_path(alike, "i2v-A14B"))
    assert set(t2v) == {"text_encoder", "tokenizer", "vae"}
    assert shared_digests(model_path(models_dir, "ti2v-5B"))["vae"] != t2v["vae"]


def test_the_size_of_a_part_is_that_of_its_weights_as_they_run(models_dir, warm):
    pipe = engine_of(warm["t2v-A14B"]).pipe
    sizes = part_sizes(model_path(models_dir, "t2v-A14B"), 2)
    for name, size in sizes.items():
        tensors = list(getattr(pipe, name).parameters())
        numbers = sum(tensor.numel() for tensor in tensors)
        assert size == numbers * (4 if name == "vae" else 2)
    assert set(sizes) == {"transformer", "transformer_2", "text_encoder", "vae"}
