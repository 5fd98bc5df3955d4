"""Animation: segment after segment, as long as the pose video, and clear about the files it is given."""

from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from tests.integration.ways import WAYS, rolling, write_video
from wan_models.errors import InvalidRequestError, UnusableInputError
from wan_models.pipeline import Run

ANIMATE, REPLACE = WAYS["animate-14B"], WAYS["animate-14B to replace"]


def told_and_made(pipeline, run: Run, **fields: Any) -> tuple[list[tuple[int, int]], int]:
    told: list[tuple[int, int]] = []
    counted = Run(on_step=lambda step, steps: told.append((step, steps)), inputs=run.inputs)
    video = pipeline.generate(ANIMATE.request(sample_steps=2, **fields), counted)
    return told, len(video.frames)


# Frames of the pose video, of a segment, taken over; each segment but the first takes some over.
@pytest.mark.parametrize(
    ("lengths", "segments"),
    [
        ((2, 5, 1), 1),
        ((5, 5, 1), 1),
        ((6, 5, 1), 2),
        ((13, 5, 1), 3),
        ((13, 13, 5), 1),
        ((14, 13, 5), 2),
        ((8, 77, 1), 1),
    ],
)
def test_a_video_is_as_long_as_its_poses_in_as_many_segments_as_it_takes(
    warm, media, tmp_path, lengths, segments
):
    poses, segment, refert_num = lengths
    pose = write_video(tmp_path / "pose.mp4", rolling(poses))
    run = Run(on_step=lambda *_: None, inputs={**ANIMATE.run(media).inputs, "pose": pose})
    told, frames = told_and_made(warm["animate-14B"], run, frame_num=segment, refert_num=refert_num)
    assert frames == poses
    assert told == [(step, 2 * segments) for step in range(1, 2 * segments + 1)]


def test_the_frames_taken_over_are_not_shown_twice(warm, media):
    frames = ANIMATE.frames(warm["animate-14B"], media).float()
    assert (frames[1:] - frames[:-1]).abs().mean(dim=(1, 2, 3)).min() > 1


def test_a_segment_must_be_longer_than_what_it_takes_over():
    with pytest.raises(InvalidRequestError, match="13") as caught:
        ANIMATE.request(frame_num=9, refert_num=5)
    assert caught.value.field == "frame_num"
    assert ANIMATE.request(frame_num=13, refert_num=5).frame_num == 13


@pytest.mark.parametrize("name", REPLACE.inputs)
def test_every_file_shows_in_the_video(warm, media, tmp_path, name):
    white = torch.full((9, 64, 64, 3), 255, dtype=torch.uint8)
    other = write_video(tmp_path / "white.mp4", white)
    if name == "ref":
        Image.new("RGB", (64, 64), "white").save(tmp_path / "white.png")
        other = tmp_path / "white.png"
    inputs = {**REPLACE.run(media).inputs, name: other}
    made = warm["animate-14B"].generate(REPLACE.request(), Run(on_step=lambda *_: None, inputs=inputs))
    assert not torch.equal(made.frames, REPLACE.frames(warm["animate-14B"], media))


def assert_refused(warm, media: Path, match: str, **inputs: Path | None) -> None:
    """Check that a run with other inputs is refused, and that the next one is as ever."""
    given = {name: path for name, path in {**REPLACE.run(media).inputs, **inputs}.items() if path}
    before = REPLACE.frames(warm["animate-14B"], media)
    with pytest.raises(UnusableInputError, match=match):
        warm["animate-14B"].generate(REPLACE.request(), Run(on_step=lambda *_: None, inputs=given))
    assert torch.equal(REPLACE.frames(warm["animate-14B"], media), before)


@pytest.mark.parametrize("name", ["pose", "face", "bg", "mask"])
def test_one_frame_is_refused_by_name(warm, media, tmp_path, name):
    single = write_video(tmp_path / "single.mp4", rolling(1))
    assert_refused(warm, media, f"{name}: it has a single frame", **{name: single})


@pytest.mark.parametrize("name", ["bg", "mask"])
def test_a_scene_of_another_size_than_the_poses_is_refused(warm, media, tmp_path, name):
    wide = write_video(tmp_path / "wide.mp4", rolling(9).repeat(1, 1, 2, 1))
    assert_refused(
        warm, media, rf"{name}: its frames are 128\*64, and those of the pose video 64\*64", **{name: wide}
    )


@pytest.mark.parametrize("name", REPLACE.inputs)
def test_a_missing_file_is_named(warm, media, name):
    assert_refused(warm, media, f"{name}: this task needs it", **{name: None})


def test_poses_must_outnumber_the_frames_taken_over(warm, media, tmp_path):
    pose = write_video(tmp_path / "pose.mp4", rolling(5))
    run = Run(on_step=lambda *_: None, inputs={**ANIMATE.run(media).inputs, "pose": pose})
    with pytest.raises(UnusableInputError, match="more than the 5 frames of refert_num"):
        warm["animate-14B"].generate(ANIMATE.request(frame_num=13, refert_num=5), run)
