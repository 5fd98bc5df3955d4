"""What two experts share: the boundary between them, and a pair of guidance scales."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch

from tests.integration.ways import WAYS
from wan_models.errors import GenerationError, GenerationStoppedError
from wan_models.fields import MAX_PROMPT_CHARACTERS
from wan_models.pipeline import Pipeline, Run
from wan_models.pipelines.text_to_video import TextToVideoPipeline
from wan_models.request import VideoRequest

request_for = WAYS["t2v-A14B"].request


def keep_going() -> Run:
    return Run(on_step=lambda _step, _steps: None)


def frames_of(pipeline: Pipeline, request: VideoRequest) -> torch.Tensor:
    frames = pipeline.generate(request, keep_going()).frames
    assert isinstance(frames, torch.Tensor)
    return frames


@pytest.fixture
def two_experts(warm: dict[str, Pipeline]) -> TextToVideoPipeline:
    pipeline = warm["t2v-A14B"]
    assert isinstance(pipeline, TextToVideoPipeline)
    return pipeline


@contextmanager
def spied(pipeline: TextToVideoPipeline) -> Iterator[list[tuple[str, torch.Tensor]]]:
    """Every call of an expert while the block runs: which one, and the latents it was given."""
    calls: list[tuple[str, torch.Tensor]] = []

    def spy(expert: str) -> Callable[..., None]:
        return lambda _module, _args, kwargs: calls.append((expert, kwargs["hidden_states"].clone()))

    pipe = pipeline._engine.pipe
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
        patch.setattr(two_experts._engine.pipe.vae, "decode", out_of_memory)
        with pytest.raises(GenerationError, match="out of memory"):
            frames_of(two_experts, request)
    assert torch.equal(frames_of(two_experts, request), before)


def test_hooks_are_freed_after_a_run_that_was_stopped(two_experts, monkeypatch):
    freed: list[bool] = []
    monkeypatch.setattr(two_experts._engine.pipe, "maybe_free_model_hooks", lambda: freed.append(True))

    def stop(_step: int, _steps: int) -> None:
        raise GenerationStoppedError

    with pytest.raises(GenerationStoppedError):
        two_experts.generate(request_for(), Run(on_step=stop))
    assert freed


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
