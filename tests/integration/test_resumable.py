"""Runs that go on where another one was stopped: the video is the same to the bit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import (
    DPMSolverMultistepScheduler,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    UniPCMultistepScheduler,
)

from tests.integration.file_checkpoints import FileCheckpoints
from tests.integration.ways import WAYS, Way
from wan_models.checkpoints import fingerprint
from wan_models.errors import GenerationStoppedError
from wan_models.models_dir import model_path
from wan_models.pipeline import GeneratedVideo, OnStep, Pipeline
from wan_models.pipelines.resumable import ResumableScheduler

# diffusers' DPM++ hands numpy a tensor that cannot yet be told not to copy.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

STEPS = 6


class StoppedError(GenerationStoppedError):
    """What a test stops a run with."""


class Resumed:
    """One way to use one pipeline, with checkpoints in a file."""

    def __init__(self, way: Way, pipeline: Pipeline, media: Path, checkpoints: FileCheckpoints) -> None:
        self.way = way
        self.pipeline = pipeline
        self.checkpoints = checkpoints
        self.steps = STEPS * way.segments
        self._media = media

    def run(
        self, checkpoints: FileCheckpoints | None, on_step: OnStep = lambda _step, _steps: None
    ) -> GeneratedVideo:
        request = self.way.request(sample_steps=STEPS, sample_shift=3.0)
        return self.pipeline.generate(
            request, replace(self.way.run(self._media, on_step), checkpoints=checkpoints)
        )

    def stop_behind(self, step: int) -> None:
        def on_step(number: int, _steps: int) -> None:
            if number == step:
                raise StoppedError

        with pytest.raises(StoppedError):
            self.run(self.checkpoints, on_step)


@pytest.fixture(params=WAYS)
def every_way(request, warm, media, tmp_path) -> Resumed:
    way = WAYS[request.param]
    return Resumed(way, warm[way.task], media, FileCheckpoints(tmp_path / "state"))


@pytest.fixture
def text_to_video(warm, media, tmp_path) -> Resumed:
    way = WAYS["t2v-A14B"]
    return Resumed(way, warm[way.task], media, FileCheckpoints(tmp_path / "state"))


@pytest.mark.parametrize("place", [0, 0.3, 0.5, 0.8, 1])
def test_a_resumed_run_gives_the_same_video_and_takes_only_the_steps_that_are_left(every_way, place):
    step, steps = max(1, round(place * every_way.steps)), every_way.steps
    whole = every_way.run(None)
    every_way.stop_behind(step)
    assert every_way.checkpoints.saved == list(range(1, step + 1))
    told: list[tuple[int, int]] = []
    resumed = every_way.run(every_way.checkpoints, lambda *numbers: told.append(numbers))
    assert told == [(number, steps) for number in range(step + 1, steps + 1)]
    assert torch.equal(resumed.frames, whole.frames)
    assert (resumed.metrics["resumed_step"], whole.metrics["resumed_step"]) == (step, 0)


def test_a_run_may_be_resumed_again_and_again(text_to_video):
    for step in (2, 3, 5):
        text_to_video.stop_behind(step)
    resumed, whole = text_to_video.run(text_to_video.checkpoints), text_to_video.run(None)
    assert torch.equal(resumed.frames, whole.frames)
    assert text_to_video.checkpoints.saved == [1, 2, 3, 4, 5, 6]


def test_the_pipeline_is_left_as_it_was(text_to_video):
    text_to_video.stop_behind(2)
    text_to_video.run(text_to_video.checkpoints)
    pipe = text_to_video.pipeline._engine.pipe
    assert type(pipe.scheduler) is UniPCMultistepScheduler
    assert "prepare_latents" not in vars(pipe)


def test_nothing_is_saved_unless_it_is_due(text_to_video):
    text_to_video.checkpoints.wanted = False
    text_to_video.run(text_to_video.checkpoints)
    assert not text_to_video.checkpoints.path.exists()


class TestACheckpointThatIsNoUse:
    """It means starting over, never a failed run."""

    @pytest.fixture
    def stopped(self, text_to_video: Resumed) -> Resumed:
        text_to_video.stop_behind(3)
        text_to_video.checkpoints.wanted = False
        return text_to_video

    @pytest.mark.parametrize("left", [0, 5, 100, 0.5, 0.99])
    def test_because_it_was_cut_off(self, stopped, left):
        content = stopped.checkpoints.path.read_bytes()
        kept = left if isinstance(left, int) else int(len(content) * left)
        stopped.checkpoints.path.write_bytes(content[:kept])
        assert_starts_over(stopped)

    def test_because_a_byte_of_it_changed(self, stopped):
        content = bytearray(stopped.checkpoints.path.read_bytes())
        content[-7] ^= 1
        stopped.checkpoints.path.write_bytes(content)
        assert_starts_over(stopped)

    def test_because_it_is_another_runs(self, stopped):
        stopped.checkpoints.fingerprint = "another run"
        assert_starts_over(stopped)

    def test_because_it_is_something_else(self, stopped):
        torch.save({"latents": torch.zeros(1)}, stopped.checkpoints.path)
        assert_starts_over(stopped)

    def test_because_it_is_gone(self, stopped):
        stopped.checkpoints.resume = lambda: stopped.checkpoints.path.with_name("gone")
        assert_starts_over(stopped)


def assert_starts_over(stopped: Resumed) -> None:
    video = stopped.run(stopped.checkpoints)
    assert video.metrics["resumed_step"] == 0
    assert torch.equal(video.frames, stopped.run(None).frames)


def flow(kind: Any, **options: Any) -> Any:
    return kind(num_train_timesteps=1000, **options)


SCHEDULERS: dict[str, Callable[[], Any]] = {
    "unipc": lambda: flow(
        UniPCMultistepScheduler, prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=5.0
    ),
    "unipc of order 3": lambda: flow(
        UniPCMultistepScheduler, prediction_type="flow_prediction", use_flow_sigmas=True, solver_order=3
    ),
    "dpm++ 2m": lambda: flow(
        DPMSolverMultistepScheduler, prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=5.0
    ),
    "flow match euler": lambda: flow(FlowMatchEulerDiscreteScheduler, shift=5.0),
}


def denoise(scheduler: ResumableScheduler, segments: int, stop_at: int = 0) -> list[torch.Tensor]:
    """A loop of one's own, over segments that each build on the one before; gives what each ended with."""
    generator = torch.Generator("cpu").manual_seed(1)
    ends = [torch.zeros(1, 4, 8)]
    for _ in range(segments):
        scheduler.set_timesteps(STEPS, device=torch.device("cpu"))
        latents = scheduler.begin(torch.randn(1, 4, 8, generator=generator))
        for t in scheduler.timesteps:
            prediction = torch.sin(latents * 3 + t / 1000) + ends[-1]
            latents = scheduler.step(prediction, t, latents, return_dict=False)[0]
            if scheduler.after_step(latents) == stop_at:
                raise StoppedError
        ends.append(latents)
    return ends


@pytest.mark.parametrize("kind", SCHEDULERS)
@pytest.mark.parametrize("step", range(1, 3 * STEPS))
def test_every_scheduler_goes_on_alike_in_every_segment(kind, step, tmp_path):
    checkpoints = FileCheckpoints(tmp_path / "state")
    whole = denoise(ResumableScheduler(SCHEDULERS[kind](), None), 3)
    with pytest.raises(StoppedError):
        denoise(ResumableScheduler(SCHEDULERS[kind](), checkpoints), 3, stop_at=step)
    resumed = ResumableScheduler(SCHEDULERS[kind](), checkpoints)
    assert all(map(torch.equal, denoise(resumed, 3), whole))
    assert resumed.resumed_step == step
    assert checkpoints.saved == list(range(1, 3 * STEPS + 1))


def test_a_scheduler_whose_memory_is_not_known_runs_without_checkpoints(tmp_path):
    checkpoints = FileCheckpoints(tmp_path / "state")
    scheduler = ResumableScheduler(EulerDiscreteScheduler(), checkpoints)
    denoise(scheduler, 1)
    assert checkpoints.saved == []


def test_a_checkpoint_of_another_kind_of_scheduler_is_not_resumed_from(tmp_path):
    checkpoints = FileCheckpoints(tmp_path / "state")
    denoise(ResumableScheduler(SCHEDULERS["unipc"](), checkpoints), 1)
    assert ResumableScheduler(SCHEDULERS["dpm++ 2m"](), checkpoints).resumed_step == 0
    denoise(ResumableScheduler(SCHEDULERS["dpm++ 2m"](), checkpoints), 1)
    assert checkpoints.saved == list(range(1, STEPS + 1)) * 2


class TestAFingerprint:
    request = staticmethod(WAYS["t2v-A14B"].request)

    def test_is_the_same_for_the_same_request_and_model(self, models_dir):
        model = model_path(models_dir, "t2v-A14B")
        assert fingerprint(self.request(), model) == fingerprint(self.request(), model)

    def test_is_another_one_for_another_request_or_model(self, models_dir, tmp_path):
        request, model = self.request(), model_path(models_dir, "t2v-A14B")
        others = [
            fingerprint(self.request(base_seed=43), model),
            fingerprint(self.request(prompt="a dog"), model),
            fingerprint(request, model_path(models_dir, "ti2v-5B")),
            fingerprint(request, tmp_path),
        ]
        assert fingerprint(request, model) not in others
        assert len(set(others)) == len(others)
