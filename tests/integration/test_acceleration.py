"""Accelerations: each does what it says, is told in the metrics, and leaves nothing behind."""

from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers.models import attention_dispatch

from tests.integration.ways import WAYS, Way
from wan_models.errors import GenerationError, GenerationStoppedError
from wan_models.options import PipelineOptions
from wan_models.pipeline import Pipeline, Run
from wan_models.pipelines.engine import Engine
from wan_models.registry import Registry

PLAIN = {
    "attention": "native",
    "compiled_blocks": False,
    "step_cache": "none",
    "vae_tiling": False,
    "context_parallel": 1,
}
BEARS_STEP_CACHES = ("t2v-A14B", "i2v-A14B", "ti2v-5B")
STEPS = {"sample_steps": 8}


def loaded(models_dir: Path, task: str, **options: Any) -> Pipeline:
    return Registry(models_dir, PipelineOptions(**options)).load(task)


def acceleration(pipeline: Pipeline, way: Way, media: Path) -> dict[str, Any]:
    """What the metrics of a run tell, but for the hits."""
    told = dict(pipeline.generate(way.request(), way.run(media)).metrics["acceleration"])
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


# Step caches


@pytest.mark.parametrize("name", ["first-block", "taylorseer"])
def test_a_step_cache_saves_work_where_the_model_bears_it(models_dir, warm, media, way, name):
    pipeline = loaded(models_dir, way.task, step_cache=name, step_cache_threshold=1.0)
    bears = way.task in BEARS_STEP_CACHES
    assert acceleration(pipeline, way, media)["step_cache"] == (name if bears else "none")
    same = torch.equal(way.frames(pipeline, media, **STEPS), way.frames(warm[way.task], media, **STEPS))
    assert same != bears


@pytest.mark.parametrize("name", ["first-block", "taylorseer"])
@pytest.mark.parametrize("task", BEARS_STEP_CACHES)
def test_a_step_cache_starts_empty_also_after_a_run_that_was_stopped(models_dir, media, name, task):
    way, pipeline = WAYS[task], loaded(models_dir, task, step_cache=name, step_cache_threshold=1.0)
    before = way.frames(pipeline, media, **STEPS)
    assert torch.equal(way.frames(pipeline, media, **STEPS), before)

    def stop(step: int, _steps: int) -> None:
        if step == 3:
            raise GenerationStoppedError

    with pytest.raises(GenerationStoppedError):
        pipeline.generate(way.request(prompt="other", **STEPS), way.run(media, on_step=stop))
    assert torch.equal(way.frames(pipeline, media, **STEPS), before)


# The others


def test_tiles_are_used_where_they_are_asked_for(models_dir, media, way):
    pipeline: Any = loaded(models_dir, way.task, vae_tiling=True)
    assert acceleration(pipeline, way, media) == PLAIN | {"vae_tiling": True}
    engines = [value for value in vars(pipeline).values() if isinstance(value, Engine)]
    assert engines
    assert all(engine.pipe.vae.use_tiling for engine in engines)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of torch, about itself
def test_compiled_blocks_make_nearly_the_same_video(models_dir, warm, media):
    way = WAYS["t2v-A14B"]
    pipeline = loaded(models_dir, way.task, compile_blocks=True)
    assert acceleration(pipeline, way, media) == PLAIN | {"compiled_blocks": True}
    difference = way.frames(pipeline, media).float() - way.frames(warm[way.task], media).float()
    assert difference.abs().mean() < 0.1
