"""Speech to video: clip after clip, in time with its sound."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch

from tests.integration.file_checkpoints import FileCheckpoints
from tests.integration.test_resumable import Resumed
from tests.integration.ways import WAYS, Way, write_sound
from wan_models.errors import UnusableInputError
from wan_models.pipeline import GeneratedVideo, Pipeline
from wan_models.pipelines.s2v.clips import count_clips, fitting_clip
from wan_models.pipelines.video import encode_mp4, probe_mp4

WAY = WAYS["s2v-14B"]
CLIPS = replace(WAY, fields={**WAY.fields, "infer_frames": 4}, segments=2)  # the 5 frames of a small request


@pytest.fixture
def pipeline(warm: dict[str, Pipeline]) -> Pipeline:
    return warm["s2v-14B"]


def make(pipeline: Pipeline, media: Path, way: Way = WAY, **fields: Any) -> GeneratedVideo:
    return pipeline.generate(way.request(**fields), way.run(media))


def make_with(pipeline: Pipeline, media: Path, **inputs: Path) -> GeneratedVideo:
    run = WAY.run(media)
    return pipeline.generate(WAY.request(), replace(run, inputs={**run.inputs, **inputs}))


def test_a_video_lasts_as_long_as_its_speech(pipeline, media):
    video = make(pipeline, media, frame_num=None)
    assert len(video.frames) == 17  # of 16 a second, for one second, rounded up to 4n+1
    assert video.audio.seconds == pytest.approx(1)


def test_a_video_of_fewer_frames_has_the_sound_cut_to_it(pipeline, media, tmp_path):
    video = make(pipeline, media, frame_num=9)
    encode_mp4(video.frames, tmp_path / "v.mp4", 16, video.audio)
    info = probe_mp4(tmp_path / "v.mp4")
    assert (info.frames, info.fps, info.audio_codec) == (9, 16, "aac")
    assert info.audio_seconds == pytest.approx(9 / 16, abs=0.002)


def test_a_video_of_several_clips_counts_the_steps_of_all(pipeline, media):
    told: list[tuple[int, int]] = []
    run = CLIPS.run(media, on_step=lambda *numbers: told.append(numbers))
    assert len(pipeline.generate(CLIPS.request(), run).frames) == 5
    assert told == [(step, 6) for step in range(1, 7)]


@contextmanager
def spied(pipeline: Pipeline) -> Iterator[list[tuple[torch.Tensor, dict[str, Any]]]]:
    """What the transformer is called with while the block runs: the latents, and the rest by name."""
    calls: list[tuple[torch.Tensor, dict[str, Any]]] = []
    transformer = cast("Any", pipeline)._engine.pipe.transformer
    hook = transformer.register_forward_pre_hook(
        lambda _module, args, named: calls.append((args[0], named)), with_kwargs=True
    )
    try:
        yield calls
    finally:
        hook.remove()


def test_a_later_clip_goes_on_from_the_one_before(pipeline, media):
    with spied(pipeline) as calls:
        make(pipeline, media, CLIPS, sample_steps=1, sample_guide_scale=1)
    first, second = (named for _, named in calls)
    assert (first["drop_motion_frames"], second["drop_motion_frames"]) == (True, False)
    motion = second["motion_latents"]
    assert motion.shape[2] == 19
    assert not torch.equal(motion[:, :, -1], motion[:, :, -2])
    assert torch.equal(first["ref_latents"], second["ref_latents"])
    assert not torch.equal(first["audio_input"], second["audio_input"])


def test_each_clip_begins_with_noise_of_its_own_seed(pipeline, media):
    with spied(pipeline) as calls:
        make(pipeline, media, CLIPS, sample_steps=1, sample_guide_scale=1, base_seed=7)
    for clip, (latents, _) in enumerate(calls):
        generator = torch.Generator().manual_seed(7 + clip)
        assert torch.equal(latents, torch.randn(latents.shape, generator=generator))


def test_a_video_is_guided_away_from_silence(pipeline, media):
    with spied(pipeline) as calls:
        make(pipeline, media, sample_steps=1, sample_guide_scale=2)
    (_, with_sound), (_, silent) = calls
    assert with_sound["audio_input"].any()
    assert not silent["audio_input"].any()
    assert not with_sound["cond_states"].any()  # without poses


@pytest.mark.parametrize("step", [2, 3, 5])
def test_a_run_of_several_clips_goes_on_where_it_was_stopped(pipeline, media, tmp_path, step):
    resumed = Resumed(CLIPS, pipeline, media, FileCheckpoints(tmp_path / "state"))
    whole = resumed.run(None)
    resumed.stop_behind(step * 2)
    assert torch.equal(resumed.run(resumed.checkpoints).frames, whole.frames)


def test_what_is_said_shows_in_the_video(pipeline, media, tmp_path):
    write_sound(tmp_path / "other.wav", seconds=0.7)
    other = make_with(pipeline, media, audio=tmp_path / "other.wav")
    assert not torch.equal(other.frames, make(pipeline, media).frames)


def test_poses_show_in_the_video(pipeline, media, tmp_path):
    frames = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (3, 64, 64, 3), dtype=np.uint8))
    encode_mp4(frames, tmp_path / "pose.mp4", 8)
    posed = make_with(pipeline, media, pose=tmp_path / "pose.mp4")
    assert len(posed.frames) == 5
    assert not torch.equal(posed.frames, make(pipeline, media).frames)


def test_a_video_may_begin_with_the_portrait(pipeline, media):
    begun = make(pipeline, media, start_from_ref=True)
    assert begun.frames.shape == (5, 64, 64, 3)
    assert not torch.equal(begun.frames, make(pipeline, media).frames)


@pytest.mark.parametrize("name", ["image", "audio"])
def test_a_missing_input_is_named(pipeline, media, name):
    run = WAY.run(media)
    without = replace(run, inputs={key: path for key, path in run.inputs.items() if key != name})
    with pytest.raises(UnusableInputError, match=name):
        pipeline.generate(WAY.request(), without)


def test_a_file_without_sound_is_refused(pipeline, media, tmp_path):
    encode_mp4(torch.zeros(5, 64, 64, 3, dtype=torch.uint8), tmp_path / "silent.mp4", 16)
    for file in (tmp_path / "silent.mp4", media / "image.png"):
        with pytest.raises(UnusableInputError, match="audio"):
            make_with(pipeline, media, audio=file)


def test_speech_that_is_too_short_is_refused(pipeline, media, tmp_path):
    write_sound(tmp_path / "click.wav", seconds=0.05)
    with pytest.raises(UnusableInputError, match=r"0\.05 s"):
        make_with(pipeline, media, audio=tmp_path / "click.wav")


@pytest.mark.parametrize(
    ("frames", "from_image", "clip", "clips"),
    [(17, False, 20, 1), (77, False, 80, 1), (81, False, 80, 2), (17, True, 20, 1), (957, False, 80, 12)],
)
def test_a_short_video_is_one_short_clip(frames, from_image, clip, clips):
    assert fitting_clip(frames, 80, start_from_image=from_image) == clip
    assert count_clips(frames, clip, start_from_image=from_image) == clips
