"""Accelerations: each does what it says, is told in the metrics, and leaves nothing behind."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import MagCacheConfig
from diffusers.models import attention_dispatch

from tests.integration.ways import WAYS, Way
from wan_models.errors import GenerationError, GenerationStoppedError
from wan_models.models_dir import model_path
from wan_models.options import MAGNITUDES, MEASURABLE_TASKS, PipelineOptions
from wan_models.pipeline import Pipeline, Run
from wan_models.pipelines.acceleration import _can_share, _share
from wan_models.pipelines.arguments import guidance_arguments, text_arguments
from wan_models.pipelines.engine import Engine
from wan_models.pipelines.magnitudes import (
    ratios,
    read_curves,
    timesteps_by_expert,
    write_curves,
)
from wan_models.pipelines.meter import measure
from wan_models.plan import Plan
from wan_models.registry import MemoryRules, Registry

PLAIN = {
    "attention": "native",
    "compiled_blocks": False,
    "step_cache": "none",
    "vae_tiling": False,
    "context_parallel": 1,
}
STEP_CACHES = ("first-block", "magcache", "taylorseer")
STEPS = {"sample_steps": 12}


def loaded(models_dir: Path, task: str, **options: Any) -> Pipeline:
    return Registry(models_dir, PipelineOptions(**options)).load(task)


def acceleration(pipeline: Pipeline, way: Way, media: Path, **fields: Any) -> dict[str, Any]:
    """What the metrics of a run tell, but for the hits."""
    told = dict(pipeline.generate(way.request(**fields), way.run(media)).metrics["acceleration"])
    told.pop("prompt_cache_hits")
    return told


def hits(pipeline: Pipeline, **fields: Any) -> int:
    way = WAYS["t2v-A14B"]
    metrics = pipeline.generate(way.request(**fields), Run(on_step=lambda *_: None)).metrics
    found = metrics["acceleration"]["prompt_cache_hits"]
    assert isinstance(found, int)
    return found


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> Way:
    return WAYS[request.param]


def test_without_options_the_metrics_tell_of_none(warm, media, way):
    assert acceleration(warm[way.task], way, media) == PLAIN


# Remembered prompts


def test_a_text_is_encoded_once(models_dir):
    pipeline = loaded(models_dir, "t2v-A14B")
    assert hits(pipeline, prompt="a cat") == 0
    assert hits(pipeline, prompt="a cat") == 2  # with the negative prompt
    assert hits(pipeline, prompt="a dog") == 1
    assert hits(pipeline, prompt="a cat", negative_prompt="dark") == 1


def test_the_texts_of_longest_ago_are_forgotten(models_dir):
    pipeline = loaded(models_dir, "t2v-A14B", prompt_cache=2)
    assert [hits(pipeline, prompt=prompt) for prompt in ("a", "b", "b", "a")] == [0, 1, 2, 1]


def test_nothing_is_remembered_where_nothing_may_be(models_dir):
    pipeline = loaded(models_dir, "t2v-A14B", prompt_cache=0)
    assert [hits(pipeline), hits(pipeline)] == [0, 0]


def test_a_remembered_text_makes_the_same_video(models_dir, media, way):
    forgetful = loaded(models_dir, way.task, prompt_cache=0)
    remembering = loaded(models_dir, way.task)
    expected = way.frames(forgetful, media)
    assert all(torch.equal(way.frames(remembering, media), expected) for _ in range(2))


# Attention


def test_another_attention_makes_nearly_the_same_video(models_dir, warm, media, way):
    pipeline = loaded(models_dir, way.task, attention="_native_math")
    assert acceleration(pipeline, way, media) == PLAIN | {"attention": "_native_math"}
    difference = way.frames(pipeline, media).float() - way.frames(warm[way.task], media).float()
    assert difference.abs().mean() < 0.1


def test_an_attention_is_not_that_of_the_next_model(models_dir, monkeypatch):
    used: list[str] = []
    backends = attention_dispatch._AttentionBackendRegistry._backends
    for name, run in list(backends.items()):

        def spy(*args: Any, name: str = name.value, run: Any = run, **kwargs: Any) -> Any:
            used.append(name)
            return run(*args, **kwargs)

        monkeypatch.setitem(backends, name, spy)
    for attention in ("_native_math", "native"):
        used.clear()
        pipeline = loaded(models_dir, "t2v-A14B", attention=attention)
        pipeline.generate(WAYS["t2v-A14B"].request(), Run(on_step=lambda *_: None))
        assert set(used) == {attention}


@pytest.mark.parametrize("attention", ["flash", "no_such_thing"])
def test_an_attention_that_is_not_there_is_named(models_dir, attention):
    with pytest.raises(GenerationError, match=f"The attention backend '{attention}' cannot be used here"):
        loaded(models_dir, "t2v-A14B", attention=attention)


# Several GPUs


@pytest.mark.parametrize(("heads", "able"), [(40, [2, 3, 4, 5, 6, 7, 8, 10]), (24, [2, 3, 4, 5, 6, 8])])
def test_the_heads_of_a_model_say_how_many_gpus_may_share_it(heads, able):
    assert [gpus for gpus in range(2, 11) if _can_share(heads, gpus)] == able


@pytest.mark.parametrize("task", ["t2v-A14B", "s2v-14B"])
def test_too_many_gpus_for_a_model_are_told_which_counts_would_do(warm, task):
    pipe: Any = warm[task]._engine.pipe
    with pytest.raises(GenerationError, match=r"2 attention heads.*CONTEXT_PARALLEL may be 2"):
        _share(pipe.transformer, 4)


# Step caches


@pytest.mark.parametrize("name", STEP_CACHES)
def test_a_step_cache_saves_work_where_the_model_bears_it(measured_dir, warm, media, way, name):
    pipeline = loaded(measured_dir, way.task, step_cache=name, step_cache_threshold=1.0)
    bears = way.task in MEASURABLE_TASKS
    assert acceleration(pipeline, way, media, **STEPS)["step_cache"] == (name if bears else "none")
    same = torch.equal(way.frames(pipeline, media, **STEPS), way.frames(warm[way.task], media, **STEPS))
    assert same != bears


@pytest.mark.parametrize("name", STEP_CACHES)
@pytest.mark.parametrize("task", MEASURABLE_TASKS)
def test_a_step_cache_starts_empty_also_after_a_run_that_was_stopped(measured_dir, media, name, task):
    way, pipeline = WAYS[task], loaded(measured_dir, task, step_cache=name, step_cache_threshold=1.0)
    before = way.frames(pipeline, media, **STEPS)
    assert torch.equal(way.frames(pipeline, media, **STEPS), before)

    for last in (3, 7):  # of the first expert, and of the second

        def stop(step: int, _steps: int, last: int = last) -> None:
            if step == last:
                raise GenerationStoppedError

        with pytest.raises(GenerationStoppedError):
            pipeline.generate(way.request(prompt="other", **STEPS), way.run(media, on_step=stop))
        assert torch.equal(way.frames(pipeline, media, **STEPS), before)


def test_magcache_needs_a_model_that_was_measured(models_dir, warm, media, caplog):
    way = WAYS["t2v-A14B"]
    pipeline = loaded(models_dir, way.task, step_cache="magcache")
    assert "calibrate_step_cache --model" in caplog.text
    assert acceleration(pipeline, way, media, **STEPS) == PLAIN
    assert torch.equal(way.frames(pipeline, media, **STEPS), way.frames(warm[way.task], media, **STEPS))


def test_magcache_leaves_runs_of_few_steps_alone(measured_dir, warm, media):
    way, few = WAYS["ti2v-5B"], {"sample_steps": 9}
    pipeline = loaded(measured_dir, way.task, step_cache="magcache", step_cache_threshold=1.0)
    way.frames(pipeline, media, **STEPS)
    assert acceleration(pipeline, way, media, **few) == PLAIN
    assert torch.equal(way.frames(pipeline, media, **few), way.frames(warm[way.task], media, **few))
    assert acceleration(pipeline, way, media, **STEPS)["step_cache"] == "magcache"


@pytest.mark.parametrize("fields", [{}, {"boundary": 0.5}, {"boundary": 0.999}, {"sample_shift": 3.0}])
def test_magcache_counts_the_steps_of_each_expert(models_dir, tmp_path, fields):
    """Told the steps of the whole run, diffusers would leave alone more of each than it should."""
    way = WAYS["t2v-A14B"]
    shutil.copytree(model_path(models_dir, way.task), model_path(tmp_path, way.task))
    level = {name: [(1000.0, 1.0), (0.0, 1.0)] for name in ("transformer", "transformer_2")}
    write_curves(model_path(tmp_path, way.task), level)
    pipeline: Any = loaded(tmp_path, way.task, step_cache="magcache")
    pipe, request = pipeline._engine.pipe, way.request(sample_steps=40, sample_guide_scale=1.0, **fields)
    worked = dict.fromkeys(level, 0)
    for name in level:

        def work(*_: Any, name: str = name) -> None:
            worked[name] += 1

        getattr(pipe, name).blocks[1].attn1.register_forward_pre_hook(work)
    pipeline.generate(request, Run(on_step=lambda *_: None))
    split = timesteps_by_expert(pipe.scheduler, 40, request.boundary)
    for name, timesteps in split.items():
        alone = max(int(0.2 * len(timesteps) + 0.5), 1)
        # Of the others, three of four are left out.
        assert worked[name] == alone + (len(timesteps) - alone) // 4


def test_a_model_is_measured_as_diffusers_does(measured_dir, media, capsys):
    way = WAYS["ti2v-5B"]
    request = way.request(sample_steps=12, sample_guide_scale=1.0)
    engine: Any = loaded(measured_dir, way.task)._from_text  # type: ignore[attr-defined] # a part of it
    arguments = text_arguments(request) | guidance_arguments(request) | {"num_frames": request.frame_num}
    curve = measure(engine, request, dict(arguments), lambda *_: None)["transformer"]
    arguments = text_arguments(request) | guidance_arguments(request) | {"num_frames": request.frame_num}
    engine.pipe.transformer.enable_cache(MagCacheConfig(calibrate=True, num_inference_steps=12))
    engine.generate(request, way.run(media), arguments)
    told = json.loads(capsys.readouterr().out.strip().splitlines()[-1])
    timesteps = [at for at, _ in curve]
    assert ratios(curve, timesteps) == pytest.approx(told, rel=1e-5)


def test_magnitudes_are_as_good_for_other_steps_as_for_those_measured():
    curve = [(1000.0, 1.0), (500.0, 2.0), (100.0, 1.0)]
    assert ratios(curve, [1000, 750, 500, 300]) == pytest.approx([1, 1.5, 4 / 3, 0.75])
    assert ratios(curve, [1000, 500, 50, 20]) == [1, 2, 0, 0]  # no change that could be left out
    assert ratios(curve, []) == [1.0]


@pytest.mark.parametrize("content", [None, "", "[]", "{", '{"transformer": 3}', '{"transformer": [[1]]}'])
def test_a_file_that_holds_no_curves_counts_as_none(tmp_path, content):
    if content is not None:
        (tmp_path / MAGNITUDES).write_text(content)
    assert read_curves(tmp_path) == {}


# The others


def test_tiles_are_used_where_they_are_asked_for(models_dir, media, way):
    pipeline: Any = loaded(models_dir, way.task, vae_tiling=True)
    assert acceleration(pipeline, way, media) == PLAIN | {"vae_tiling": True}
    engines = [value for value in vars(pipeline).values() if isinstance(value, Engine)]
    assert engines
    assert all(engine.pipe.vae.use_tiling for engine in engines)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of torch, about itself
@pytest.mark.parametrize("name", ["none", *STEP_CACHES])
def test_compiled_blocks_make_nearly_the_same_video_also_with_a_step_cache(measured_dir, media, name):
    way, cached = WAYS["t2v-A14B"], {"step_cache": name, "step_cache_threshold": 1.0}
    pipeline = loaded(measured_dir, way.task, compile_blocks=True, **cached)
    told = acceleration(pipeline, way, media, **STEPS)
    assert told == PLAIN | {"step_cache": name, "compiled_blocks": name != "taylorseer"}
    plain = loaded(measured_dir, way.task, **cached)
    difference = way.frames(pipeline, media, **STEPS).float() - way.frames(plain, media, **STEPS).float()
    assert difference.abs().mean() < 0.1


@pytest.mark.parametrize("plan", [Plan.GROUP_OFFLOAD, Plan.FP8])
def test_blocks_whose_layers_come_and_go_are_not_compiled(models_dir, media, caplog, plan):
    way = WAYS["ti2v-5B"]
    rules = MemoryRules(plan=plan)
    pipeline = Registry(models_dir, PipelineOptions(compile_blocks=True), rules).load(way.task)
    assert acceleration(pipeline, way, media) == PLAIN
    assert f"the plan {plan} works inside of them" in caplog.text
