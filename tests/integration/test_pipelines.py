"""The pipelines: one promise, held by the fake one and by diffusers' in every way to use them."""

from pathlib import Path

import pytest
import torch

from tests.integration.ways import POSE_FRAMES, WAYS, Way
from wan_models.errors import GenerationStoppedError
from wan_models.options import PipelineOptions
from wan_models.pipeline import Pipeline
from wan_models.pipelines.engine import _to_uint8
from wan_models.pipelines.fake import FakePipeline
from wan_models.pipelines.video import encode_mp4
from wan_models.registry import Registry


@pytest.fixture(params=["fake", *WAYS])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def way(kind: str) -> Way:
    return WAYS["t2v-A14B" if kind == "fake" else kind]


@pytest.fixture
def pipeline(kind: str, way: Way, warm: dict[str, Pipeline], tmp_path: Path) -> Pipeline:
    return FakePipeline(tmp_path, PipelineOptions()) if kind == "fake" else warm[way.task]


# What every pipeline promises


def test_a_video_has_the_asked_size_and_frames(pipeline, way, media):
    assert POSE_FRAMES == 9  # which an animation is as long as
    frames = way.frames(pipeline, media, size="128*64", frame_num=9)
    assert (frames.shape, frames.dtype, frames.device.type) == ((9, 64, 128, 3), torch.uint8, "cpu")


def test_a_video_is_neither_grey_nor_still(pipeline, way, media):
    frames = way.frames(pipeline, media, size="128*64", frame_num=9).float()
    assert frames.std(dim=(1, 2)).min() > 20  # of each colour in each frame, of 255
    assert (frames[1:] - frames[:-1]).abs().mean() > 5


def test_the_same_seed_gives_the_same_file_on_a_warm_pipeline(pipeline, way, media, tmp_path):
    fps = way.request().fps
    encode_mp4(way.frames(pipeline, media), tmp_path / "before.mp4", fps)
    other = {"sample_steps": 5, "sample_shift": 2.5, "sample_guide_scale": 1, "prompt": "no"}
    way.frames(pipeline, media, size="128*64", frame_num=9, **other)
    encode_mp4(way.frames(pipeline, media), tmp_path / "after.mp4", fps)
    assert (tmp_path / "before.mp4").read_bytes() == (tmp_path / "after.mp4").read_bytes()


def test_another_seed_gives_another_video(pipeline, way, media):
    first, second = (way.frames(pipeline, media, base_seed=seed) for seed in (1, 2))
    assert not torch.equal(first, second)


def test_each_step_is_told_once_in_order(pipeline, way, media):
    told: list[tuple[int, int]] = []
    run = way.run(media, on_step=lambda step, steps: told.append((step, steps)))
    pipeline.generate(way.request(sample_steps=4), run)
    total = 4 * way.segments
    assert told == [(step, total) for step in range(1, total + 1)]


@pytest.mark.parametrize("error", [GenerationStoppedError, RuntimeError, ValueError, KeyError])
def test_an_exception_of_the_caller_stops_the_run_and_passes_through(pipeline, way, media, error):
    before, told = way.frames(pipeline, media), []

    def stop(step: int, _steps: int) -> None:
        told.append(step)
        if step == 2:
            raise error("enough")

    with pytest.raises(error, match="enough"):
        pipeline.generate(way.request(), way.run(media, on_step=stop))
    assert told == [1, 2]
    assert torch.equal(way.frames(pipeline, media), before)


def test_the_measures_have_these_names(pipeline, way, media):
    metrics = pipeline.generate(way.request(), way.run(media)).metrics
    assert set(metrics) == {
        "denoise_seconds",
        "decode_seconds",
        "seconds_per_step",
        "resumed_step",
        "peak_memory_mb",
        "memory_plan",
        "acceleration",
    }


def test_the_random_state_of_the_process_is_left_alone(pipeline, way, media):
    before = torch.random.get_rng_state()
    way.frames(pipeline, media)
    assert torch.equal(torch.random.get_rng_state(), before)


# What the diffusers pipelines promise besides


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_a_freshly_loaded_model_gives_the_same_video_as_a_warm_one(warm, media, models_dir, way):
    fresh = Registry(models_dir).load(way.task)
    assert torch.equal(way.frames(fresh, media), way.frames(warm[way.task], media))


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize(
    "change",
    [
        {"prompt": "a dog"},
        {"negative_prompt": "", "sample_guide_scale": 2},
        {"sample_guide_scale": 2.5},
        {"sample_shift": 3.5},
        {"sample_steps": 4},
    ],
    ids=lambda change: next(iter(change)),
)
def test_every_choice_shows_in_the_video(warm, media, way, change):
    pipeline, before = warm[way.task], {"sample_guide_scale": 2} if "negative_prompt" in change else {}
    assert not torch.equal(way.frames(pipeline, media, **before), way.frames(pipeline, media, **change))


def test_colours_are_rounded_to_the_nearest_byte():
    shades = torch.tensor([0.0, 0.499 / 255, 0.501 / 255, 254.6 / 255, 1.0]).reshape(5, 1, 1, 1)
    assert _to_uint8(shades.expand(5, 3, 2, 2).clone())[:, 0, 0, 0].tolist() == [0, 0, 1, 255, 255]
