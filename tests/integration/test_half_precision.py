"""In bfloat16, as on a GPU: everything fits together, and goes on to the same bits."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from tests.integration.file_checkpoints import FileCheckpoints
from tests.integration.ways import WAYS, Way
from wan_models.loras import CATALOG_FILE, LoraUse, read_loras
from wan_models.options import PipelineOptions
from wan_models.pipeline import Pipeline
from wan_models.plan import Plan
from wan_models.registry import MemoryRules, Registry

pytestmark = pytest.mark.usefixtures("half")


@pytest.fixture
def half(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wan_models.pipelines.engine.own_dtype", lambda: torch.bfloat16)


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> Way:
    return WAYS[request.param]


def loaded(models_dir: Path, way: Way, plan: Plan = Plan.RESIDENT, **options: Any) -> Pipeline:
    return Registry(models_dir, PipelineOptions(**options), MemoryRules(plan=plan)).load(way.task)


def engine_of(pipeline: Any) -> Any:
    return getattr(pipeline, "_engine", None) or pipeline._from_text


@pytest.mark.parametrize("plan", [Plan.RESIDENT, Plan.FP8])
def test_each_task_makes_the_same_video_again(models_dir, media, way, plan):
    pipeline = loaded(models_dir, way, plan)
    pipe = engine_of(pipeline).pipe
    assert (pipe.transformer.dtype, pipe.vae.dtype) == (torch.bfloat16, torch.float32)
    made = way.frames(pipeline, media)
    assert made.float().std() > 1
    assert torch.equal(way.frames(pipeline, media), made)


def test_a_run_that_goes_on_makes_the_video_of_one_that_was_not_stopped(models_dir, media, way, tmp_path):
    pipeline = loaded(models_dir, way)
    kept = replace(way.run(media), checkpoints=FileCheckpoints(tmp_path / "state", only=2))
    whole = pipeline.generate(way.request(), kept)
    again = pipeline.generate(way.request(), kept)
    assert (whole.metrics["resumed_step"], again.metrics["resumed_step"]) == (0, 2)
    assert torch.equal(again.frames, whole.frames)


def test_pictures_adapters_and_step_caches_work(measured_dir, media, tmp_path):
    name = "transformer.blocks.0.attn1.to_q"
    adapter = {f"{name}.lora_A.weight": torch.ones(2, 24), f"{name}.lora_B.weight": torch.ones(24, 2)}
    save_file(adapter, tmp_path / "a.safetensors")
    (tmp_path / CATALOG_FILE).write_text('[a]\ntasks."t2v-A14B".file = "a.safetensors"')
    way, pictures = WAYS["t2v-A14B"], list[bytes]()
    cached: dict[str, Any] = {"step_cache": "magcache", "step_cache_threshold": 1.0}
    pipeline = loaded(measured_dir, way, loras=read_loras(tmp_path), **cached)
    request = way.request(sample_steps=12).model_copy(update={"loras": (LoraUse(name="a", strength=1.0),)})
    run = replace(way.run(media), on_preview=lambda _step, picture: pictures.append(picture))
    made = pipeline.generate(request, run)
    assert made.metrics["acceleration"]["step_cache"] == "magcache"
    assert pictures
    assert not torch.equal(made.frames, way.frames(pipeline, media, sample_steps=12))
