"""The pipelines: one promise, held by the fake one and by diffusers' in both shapes."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch

from wan_models.bodies import TextToVideo
from wan_models.catalog import CATALOG, TINY_TASKS
from wan_models.errors import GenerationError, GenerationStoppedError
from wan_models.fields import MAX_PROMPT_CHARACTERS
from wan_models.models_dir import model_path
from wan_models.pipeline import Pipeline, Run
from wan_models.pipelines.fake import FakePipeline
from wan_models.pipelines.text_to_video import TextToVideoPipeline, _to_uint8
from wan_models.pipelines.video import encode_mp4
from wan_models.registry import Registry
from wan_models.request import VideoRequest, resolve


def request_for(task: str = "t2v-A14B", **fields: Any) -> VideoRequest:
    """A small request: 64*64, 5 frames, 3 steps, unless it says otherwise."""
    small = {"prompt": "a cat", "size": "64*64", "frame_num": 5, "sample_steps": 3, "base_seed": 42}
    body = TextToVideo.model_validate({"task": task, **small, **fields})
    return resolve(body, CATALOG[task], tiny=True)


def keep_going() -> Run:
    return Run(on_step=lambda _step, _steps: None)


def frames_of(pipeline: Pipeline, request: VideoRequest) -> torch.Tensor:
    frames = pipeline.generate(request, keep_going()).frames
    assert isinstance(frames, torch.Tensor)
    return frames


@pytest.fixture(scope="module")
def warm(models_dir: Path) -> dict[str, TextToVideoPipeline]:
    """Both shapes, loaded once."""
    return {task: TextToVideoPipeline(model_path(models_dir, task)) for task in TINY_TASKS}


@pytest.fixture(params=["fake", *TINY_TASKS])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def task(kind: str) -> str:
    return "t2v-A14B" if kind == "fake" else kind


@pytest.fixture
def pipeline(kind: str, warm: dict[str, TextToVideoPipeline], tmp_path: Path) -> Pipeline:
    return FakePipeline(tmp_path) if kind == "fake" else warm[kind]


@pytest.fixture
def two_experts(warm: dict[str, TextToVideoPipeline]) -> TextToVideoPipeline:
    return warm["t2v-A14B"]


@contextmanager
def spied(pipeline: TextToVideoPipeline) -> Iterator[list[tuple[str, torch.Tensor]]]:
    """Every call of an expert while the block runs: which one, and the latents it was given."""
    calls: list[tuple[str, torch.Tensor]] = []

    def spy(expert: str) -> Callable[..., None]:
        return lambda _module, _args, kwargs: calls.append((expert, kwargs["hidden_states"].clone()))

    pipe = pipeline._pipe
    hooks = [
        expert.register_forward_pre_hook(spy(name), with_kwargs=True)
        for name, expert in (("high", pipe.transformer), ("low", pipe.transformer_2))
    ]
    try:
        yield calls
    finally:
        for hook in hooks:
            hook.remove()


def calls_of(pipeline: TextToVideoPipeline, **fields: Any) -> list[tuple[str, torch.Tensor]]:
    with spied(pipeline) as calls:
        pipeline.generate(request_for(**fields), keep_going())
    return calls


# What every pipeline promises


def test_a_video_has_the_asked_size_and_frames(pipeline, task):
    frames = frames_of(pipeline, request_for(task, size="128*64", frame_num=9))
    assert (frames.shape, frames.dtype, frames.device.type) == ((9, 64, 128, 3), torch.uint8, "cpu")


def test_a_video_is_neither_grey_nor_still(pipeline, task):
    frames = frames_of(pipeline, request_for(task, size="128*64", frame_num=9)).float()
    assert frames.std(dim=(1, 2)).min() > 20  # of each colour in each frame, of 255
    assert (frames[1:] - frames[:-1]).abs().mean() > 5


def test_the_same_seed_gives_the_same_file_on_a_warm_pipeline(pipeline, task, tmp_path):
    request = request_for(task)
    encode_mp4(frames_of(pipeline, request), tmp_path / "before.mp4", request.fps)
    frames_of(
        pipeline,
        request_for(
            task,
            size="128*64",
            frame_num=9,
            sample_steps=5,
            sample_shift=2.5,
            sample_guide_scale=1,
            prompt="no",
        ),
    )
    encode_mp4(frames_of(pipeline, request), tmp_path / "after.mp4", request.fps)
    assert (tmp_path / "before.mp4").read_bytes() == (tmp_path / "after.mp4").read_bytes()


def test_another_seed_gives_another_video(pipeline, task):
    first, second = (frames_of(pipeline, request_for(task, base_seed=seed)) for seed in (1, 2))
    assert not torch.equal(first, second)


def test_each_step_is_told_once_in_order(pipeline, task):
    told: list[tuple[int, int]] = []
    pipeline.generate(
        request_for(task, sample_steps=4), Run(on_step=lambda step, steps: told.append((step, steps)))
    )
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]


@pytest.mark.parametrize("error", [GenerationStoppedError, RuntimeError, ValueError, KeyError])
def test_an_exception_of_the_caller_stops_the_run_and_passes_through(pipeline, task, error):
    request = request_for(task)
    before, told = frames_of(pipeline, request), []

    def stop(step: int, _steps: int) -> None:
        told.append(step)
        if step == 2:
            raise error("enough")

    with pytest.raises(error, match="enough"):
        pipeline.generate(request, Run(on_step=stop))
    assert told == [1, 2]
    assert torch.equal(frames_of(pipeline, request), before)


def test_the_measures_have_these_names(pipeline, task):
    metrics = pipeline.generate(request_for(task), keep_going()).metrics
    assert set(metrics) == {"denoise_seconds", "decode_seconds", "seconds_per_step", "peak_memory_mb"}


def test_the_random_state_of_the_process_is_left_alone(pipeline, task):
    before = torch.random.get_rng_state()
    frames_of(pipeline, request_for(task))
    assert torch.equal(torch.random.get_rng_state(), before)


# What the diffusers pipelines promise besides


@pytest.mark.parametrize("task", TINY_TASKS)
def test_a_freshly_loaded_model_gives_the_same_video_as_a_warm_one(warm, models_dir, task):
    request = request_for(task)
    assert torch.equal(frames_of(Registry(models_dir).load(task), request), frames_of(warm[task], request))


@pytest.mark.parametrize("task", TINY_TASKS)
@pytest.mark.parametrize(
    "change",
    [
        {"prompt": "a dog"},
        {"negative_prompt": ""},
        {"sample_guide_scale": 2},
        {"sample_shift": 3.5},
        {"sample_steps": 4},
    ],
    ids=lambda change: next(iter(change)),
)
def test_every_choice_shows_in_the_video(warm, task, change):
    assert not torch.equal(
        frames_of(warm[task], request_for(task)), frames_of(warm[task], request_for(task, **change))
    )


@pytest.mark.parametrize(
    "prompt", ["猫在花园里玩 🐈", "&lt;cat&gt; &#0;", "\u202egnihtemos", "ﷺ" * MAX_PROMPT_CHARACTERS]
)
def test_any_script_is_encoded(two_experts, prompt):
    assert len(frames_of(two_experts, request_for(prompt=prompt))) == 5


def test_a_fault_of_the_model_is_a_generation_error_and_leaves_it_usable(two_experts, monkeypatch):
    request = request_for()
    before = frames_of(two_experts, request)

    def out_of_memory(*_: Any, **__: Any) -> None:
        raise torch.OutOfMemoryError("out of memory")

    with monkeypatch.context() as patch:
        patch.setattr(two_experts._pipe.vae, "decode", out_of_memory)
        with pytest.raises(GenerationError, match="out of memory"):
            frames_of(two_experts, request)
    assert torch.equal(frames_of(two_experts, request), before)


def test_hooks_are_freed_after_a_run_that_was_stopped(two_experts, monkeypatch):
    freed: list[bool] = []
    monkeypatch.setattr(two_experts._pipe, "maybe_free_model_hooks", lambda: freed.append(True))

    def stop(_step: int, _steps: int) -> None:
        raise GenerationStoppedError

    with pytest.raises(GenerationStoppedError):
        two_experts.generate(request_for(), Run(on_step=stop))
    assert freed


def test_colours_are_rounded_to_the_nearest_byte():
    shades = torch.tensor([0.0, 0.499 / 255, 0.501 / 255, 254.6 / 255, 1.0]).reshape(5, 1, 1, 1)
    assert _to_uint8(shades.expand(5, 3, 2, 2).clone())[:, 0, 0, 0].tolist() == [0, 0, 1, 255, 255]


def test_the_experts_change_over_at_the_boundary_which_the_shift_moves(two_experts):
    # Shifted noise level of step s of n: f*t / (1 + (f-1)*t) with t = 1 - s/n. Two calls a step, guided.
    for shift, high_steps in ((12.0, 4), (3.0, 2), (12.0, 4)):
        experts = [name for name, _ in calls_of(two_experts, sample_steps=5, sample_shift=shift)]
        assert experts == ["high"] * high_steps * 2 + ["low"] * (5 - high_steps) * 2


def test_the_boundary_is_the_one_of_the_request(two_experts):
    request = request_for(sample_steps=5)
    with spied(two_experts) as calls:
        two_experts.generate(request.model_copy(update={"boundary": 0.95}), keep_going())
    assert [name for name, _ in calls].count("high") == 2 * 2


def test_the_first_of_the_pair_guides_the_low_noise_expert_and_the_second_the_high_noise_one(two_experts):
    def inputs(*pair: float) -> dict[str, list[torch.Tensor]]:
        calls = calls_of(two_experts, sample_steps=5, sample_shift=3.0, sample_guide_scale=pair)
        return {expert: [x for name, x in calls if name == expert] for expert in ("high", "low")}

    def same(first: list[torch.Tensor], second: list[torch.Tensor]) -> bool:
        return all(map(torch.equal, first, second))

    base, other_low, other_high = inputs(3, 4), inputs(7, 4), inputs(3, 7)
    assert same(base["high"], other_low["high"])
    assert torch.equal(base["low"][0], other_low["low"][0])  # still the work of the high-noise expert
    assert not same(base["low"], other_low["low"])
    assert not same(base["high"], other_high["high"])


def test_guidance_of_one_costs_one_call_a_step(two_experts):
    assert len(calls_of(two_experts, sample_guide_scale=1)) == 3


def test_the_low_noise_expert_is_guided_also_where_the_other_is_not(two_experts):
    assert len(calls_of(two_experts, sample_guide_scale=[5, 1])) == 6
    low = frames_of(two_experts, request_for(sample_guide_scale=[5, 1]))
    assert not torch.equal(low, frames_of(two_experts, request_for(sample_guide_scale=1)))
