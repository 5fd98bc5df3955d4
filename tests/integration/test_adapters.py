"""LoRA adapters on real pipelines: at work for one job, and gone behind it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.integration.ways import WAYS, Way
from wan_models.errors import GenerationError
from wan_models.loras import CATALOG_FILE, TASKS, LoraCatalog, LoraUse, read_loras
from wan_models.options import PipelineOptions
from wan_models.pipeline import Pipeline
from wan_models.plan import Plan
from wan_models.registry import MemoryRules, Registry

ADAPTED = [pytest.param(way, id=name) for name, way in WAYS.items() if way.task in TASKS]
WIDTH = 24  # of the tiny transformers


def weights(prefix: str, down: str, up: str, seed: int) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {
        f"{prefix}.{down}.weight": torch.randn(2, WIDTH, generator=generator),
        f"{prefix}.{up}.weight": torch.randn(WIDTH, 2, generator=generator),
    }


@pytest.fixture(scope="module")
def loras(tmp_path_factory: pytest.TempPathFactory) -> LoraCatalog:
    """Two good adapters, in the names of diffusers and of Wan itself, and a bad one."""
    folder = tmp_path_factory.mktemp("loras")
    names = "transformer.blocks.0.attn1.to_q", "lora_A", "lora_B"
    save_file(weights(*names, seed=1), folder / "a.safetensors")
    original = "diffusion_model.blocks.0.self_attn.q", "lora_A", "lora_B"
    save_file(weights(*original, seed=2), folder / "b.safetensors")
    torn = {name: tensor[:1, :5].contiguous() for name, tensor in weights(*names, seed=3).items()}
    save_file(torn, folder / "torn.safetensors")
    (folder / "junk.safetensors").write_bytes(b"no tensors")
    lines: list[str] = []
    for name, file in (("a", "a"), ('"b.2"', "b"), ("torn", "torn"), ("junk", "junk")):
        lines += [f"[{name}]", *(f'tasks."{task}".file = "{file}.safetensors"' for task in TASKS)]
    (folder / CATALOG_FILE).write_text("\n".join(lines))
    return read_loras(folder)


@pytest.fixture(scope="module")
def adaptable(models_dir: Path, loras: LoraCatalog) -> Mapping[str, Pipeline]:
    """Every model that takes adapters, in a process that has some."""
    options = PipelineOptions(loras=loras)
    return {task: Registry(models_dir, options).load(task) for task in TASKS}


def frames(pipeline: Pipeline, way: Way, media: Path, **strengths: float) -> torch.Tensor:
    uses = tuple(LoraUse(name=name.replace("_", "."), strength=value) for name, value in strengths.items())
    request = way.request().model_copy(update={"loras": uses})
    made = pipeline.generate(request, way.run(media)).frames
    assert isinstance(made, torch.Tensor)
    return made


@pytest.mark.parametrize("way", ADAPTED)
def test_an_adapter_changes_the_video_and_leaves_no_trace(adaptable, warm, media, way):
    pipeline = adaptable[way.task]
    plain, adapted = frames(pipeline, way, media), frames(pipeline, way, media, a=1.0)
    assert not torch.equal(plain, adapted)
    assert torch.equal(frames(pipeline, way, media), plain)
    assert torch.equal(way.frames(warm[way.task], media), plain)
    assert torch.equal(frames(pipeline, way, media, a=1.0), adapted)


@pytest.mark.parametrize("plan", [Plan.GROUP_OFFLOAD, Plan.FP8])
@pytest.mark.parametrize("task", ["t2v-A14B", "animate-14B"])
def test_an_adapter_keeps_its_precision_where_weights_move_or_have_eight_bits(
    models_dir, loras, media, plan, task
):
    registry, way = Registry(models_dir, PipelineOptions(loras=loras), MemoryRules(plan=plan)), WAYS[task]
    pipeline: Any = registry.load(task)
    expected, found = load_file(loras["a"].files[task]["transformer"]), []
    query = pipeline._engine.pipe.transformer.blocks[0].attn1

    def look(_step: int, _steps: int) -> None:
        found.append([getattr(query.to_q, name)["lora_0"].weight for name in ("lora_A", "lora_B")])

    plain = frames(pipeline, way, media)
    request = way.request().model_copy(update={"loras": (LoraUse(name="a", strength=1.0),)})
    adapted = pipeline.generate(request, way.run(media, on_step=look)).frames
    assert not torch.equal(adapted, plain)
    for weight, name in zip(found[-1], ("lora_A", "lora_B"), strict=True):
        assert torch.equal(weight, expected[f"transformer.blocks.0.attn1.to_q.{name}.weight"])
    assert torch.equal(frames(pipeline, way, media), plain)


def test_adapters_work_together_each_with_its_strength(adaptable, media):
    pipeline, way = adaptable["t2v-A14B"], WAYS["t2v-A14B"]
    kinds: list[dict[str, Any]] = [{}, {"a": 1.0}, {"a": 0.5}, {"b_2": 1.0}, {"a": 1.0, "b_2": 1.0}]
    made = [frames(pipeline, way, media, **kind) for kind in kinds]
    assert len({video.numpy().tobytes() for video in made}) == len(kinds)


def test_no_strength_is_no_change(adaptable, media):
    pipeline, way = adaptable["t2v-A14B"], WAYS["t2v-A14B"]
    assert torch.equal(frames(pipeline, way, media, a=0.0), frames(pipeline, way, media))


@pytest.mark.parametrize("name", ["torn", "junk"])
def test_a_bad_adapter_fails_its_job_and_no_other(adaptable, media, name):
    pipeline, way = adaptable["t2v-A14B"], WAYS["t2v-A14B"]
    before = frames(pipeline, way, media)
    with pytest.raises(GenerationError, match=rf"{name}\.safetensors is no adapter for this model"):
        frames(pipeline, way, media, a=1.0, **{name: 1.0})
    assert torch.equal(frames(pipeline, way, media), before)


def test_an_adapter_that_a_worker_lacks_fails_the_job_by_its_name(warm, media):
    with pytest.raises(GenerationError, match="The adapter a is not installed on this worker"):
        frames(warm["t2v-A14B"], WAYS["t2v-A14B"], media, a=1.0)
