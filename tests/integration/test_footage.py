"""Videos as inputs: decoded to a size and a pace, and refused with a sentence."""

import wave

import pytest
import torch
from PIL import Image

from tests.integration.ways import gradient, rolling, write_video
from wan_models.catalog import Size
from wan_models.errors import UnusableInputError
from wan_models.pipelines.footage import Footage, read_footage

LEVELS = [0, 60, 120, 180, 240]


@pytest.fixture
def grey(tmp_path):
    """Five frames at 10 a second, each of one grey."""
    frames = torch.tensor(LEVELS, dtype=torch.uint8).reshape(5, 1, 1, 1).expand(5, 64, 64, 3)
    return write_video(tmp_path / "grey.mp4", frames.contiguous(), fps=10)


def read(path, size=(64, 64), fps=10, limit=100) -> Footage:
    return read_footage({"pose": path}, "pose", Size(*size), fps, limit)


def levels(footage: Footage) -> list[int]:
    """The grey of each frame, as one of LEVELS by its place."""
    greys = [frame.convert("L").tobytes()[0] for frame in footage.frames]
    return [min(range(5), key=lambda place: abs(LEVELS[place] - grey)) for grey in greys]


def test_a_video_of_the_right_pace_is_read_frame_by_frame(grey):
    assert levels(read(grey)) == [0, 1, 2, 3, 4]


def test_a_slow_video_repeats_frames_and_lasts_as_long(grey):
    assert levels(read(grey, fps=20)) == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]


def test_a_fast_video_leaves_frames_out_and_lasts_as_long(grey):
    assert levels(read(grey, fps=5)) == [0, 2, 4]


def test_frames_have_the_wanted_size_and_the_file_its_own(grey):
    footage = read(grey, size=(32, 16))
    assert {frame.size for frame in footage.frames} == {(32, 16)}
    assert footage.native == (64, 64)


def test_colours_survive(tmp_path):
    footage = read(write_video(tmp_path / "v.mp4", rolling(3), fps=10))
    first, expected = footage.frames[0], gradient(64, 64)
    difference = torch.tensor([abs(a - b) for a, b in zip(first.tobytes(), expected.tobytes(), strict=True)])
    assert difference.float().mean() < 6


def test_a_single_frame_is_no_video(tmp_path):
    with pytest.raises(UnusableInputError, match="pose: it has a single frame"):
        read(write_video(tmp_path / "v.mp4", rolling(1)))


def test_a_video_that_is_too_long_is_refused_before_it_is_all_decoded(grey):
    with pytest.raises(UnusableInputError, match=r"longer than 0\.4 s"):
        read(grey, limit=4)
    assert len(read(grey, limit=5).frames) == 5


@pytest.mark.parametrize("content", [b"", b"no video", b"\0\0\0\x20ftypisom" + b"\0" * 100])
def test_what_is_no_video_is_refused(tmp_path, content):
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(UnusableInputError, match="pose: it cannot be read as a video"):
        read(tmp_path / "x")


def test_a_video_that_is_cut_off_is_refused(grey, tmp_path):
    (tmp_path / "half.mp4").write_bytes(grey.read_bytes()[:-200])
    with pytest.raises(UnusableInputError):
        read(tmp_path / "half.mp4")


def test_sound_is_no_video(tmp_path):
    with wave.open(str(tmp_path / "x.wav"), "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(8000)
        sound.writeframes(b"\0" * 1600)
    with pytest.raises(UnusableInputError, match="cannot be read as a video"):
        read(tmp_path / "x.wav")


def test_a_picture_is_no_video(tmp_path):
    Image.new("RGB", (64, 64)).save(tmp_path / "x.png")
    with pytest.raises(UnusableInputError):
        read(tmp_path / "x.png")


def test_a_missing_video_is_named(tmp_path):
    with pytest.raises(UnusableInputError, match="mask: this task needs it"):
        read_footage({}, "mask", Size(64, 64), 30, 100)
