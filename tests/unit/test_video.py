"""MP4 files: what a browser needs, and the same bytes for the same frames."""

from pathlib import Path

import av
import pytest
import torch

from wan_models.pipelines.sound import Sound, read_sound
from wan_models.pipelines.video import VideoInfo, encode_mp4, probe_mp4

BT709 = 1  # its number in ITU-T H.273, for the matrix, the primaries and the transfer alike


@pytest.fixture
def noise() -> torch.Tensor:
    """Nine frames of 128*64."""
    return torch.randint(
        0, 256, (9, 64, 128, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )


def boxes(content: bytes) -> list[str]:
    """The top-level boxes of an MP4 in order (ISO/IEC 14496-12: four bytes of length, four of type)."""
    found, position = [], 0
    while position < len(content):
        length = int.from_bytes(content[position : position + 4])
        found.append(content[position + 4 : position + 8].decode())
        position += length
    return found


def decoded(path: Path) -> torch.Tensor:
    with av.open(path) as container:
        return torch.stack(
            [torch.from_numpy(f.to_ndarray(format="rgb24")) for f in container.decode(video=0)]
        )


@pytest.mark.parametrize("fps", [1, 16, 24, 60])
def test_a_file_reads_back_as_it_was_written(noise, tmp_path, fps):
    encode_mp4(noise, tmp_path / "v.mp4", fps)
    assert probe_mp4(tmp_path / "v.mp4") == VideoInfo(128, 64, 9, fps, "h264", "yuv420p")


def test_the_index_stands_before_the_frames(noise, tmp_path):
    encode_mp4(noise, tmp_path / "v.mp4", 16)
    order = boxes((tmp_path / "v.mp4").read_bytes())
    assert order.index("moov") < order.index("mdat")


def test_the_same_frames_give_the_same_bytes(noise, tmp_path):
    for name in "ab":
        encode_mp4(noise, tmp_path / name, 16)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_other_frames_give_other_bytes(noise, tmp_path):
    encode_mp4(noise, tmp_path / "a", 16)
    encode_mp4(noise.flip(0), tmp_path / "b", 16)
    assert (tmp_path / "a").read_bytes() != (tmp_path / "b").read_bytes()


def test_colours_come_back_in_their_places(tmp_path):
    frame = torch.zeros(64, 128, 3, dtype=torch.uint8)
    frame[:32, :64, 0], frame[:32, 64:, 1], frame[32:, :64, 2] = 200, 200, 200
    frames = torch.stack([frame, frame.flip(0)])  # and the frames in their order
    encode_mp4(frames, tmp_path / "v.mp4", 16)
    for corner in ((8, 8), (8, 120), (56, 8), (56, 120)):
        expected, got = frames[:, *corner].int(), decoded(tmp_path / "v.mp4")[:, *corner].int()
        assert (expected - got).abs().max() <= 6


def test_colours_are_tagged_and_converted_as_bt709(tmp_path):
    green = torch.tensor([0, 200, 0], dtype=torch.uint8).expand(1, 64, 128, 3)
    encode_mp4(green, tmp_path / "v.mp4", 16)
    with av.open(tmp_path / "v.mp4") as container:
        context = container.streams.video[0].codec_context
        assert (context.colorspace, context.color_primaries, context.color_trc) == (BT709, BT709, BT709)
        luma = int(next(container.decode(video=0)).to_ndarray()[32, 64])
    assert luma == pytest.approx(16 + 219 * 0.7152 * 200 / 255, abs=2)  # BT.601 would weigh green 0.587


@pytest.mark.parametrize(
    "shape", [(9, 63, 128, 3), (9, 64, 127, 3), (0, 64, 128, 3), (9, 3, 64, 128), (64, 128, 3)]
)
def test_frames_of_an_impossible_shape_are_refused(tmp_path, shape):
    with pytest.raises(ValueError, match=r"Frames must be|even sides"):
        encode_mp4(torch.zeros(shape, dtype=torch.uint8), tmp_path / "v.mp4", 16)
    assert not (tmp_path / "v.mp4").exists()


def test_frames_that_are_not_bytes_are_refused(tmp_path):
    with pytest.raises(ValueError, match="uint8"):
        encode_mp4(torch.zeros(9, 64, 128, 3), tmp_path / "v.mp4", 16)


def test_a_file_that_is_no_video_is_not_probed(tmp_path):
    (tmp_path / "v.mp4").write_bytes(b"not a video")
    with pytest.raises(av.error.FFmpegError):
        probe_mp4(tmp_path / "v.mp4")


def beep(seconds: float, start: float, channels: int = 1) -> Sound:
    """Silence, and a tone of 440 Hz from ``start`` on, at 48 kHz."""
    time = torch.arange(round(seconds * 48_000)) / 48_000
    tone = torch.sin(2 * torch.pi * 440 * time) * 0.5 * (time >= start)
    return Sound(tone.expand(channels, -1), 48_000)


@pytest.mark.parametrize("channels", [1, 2])
def test_sound_is_heard_at_its_time_and_ends_with_the_video(noise, tmp_path, channels):
    encode_mp4(noise, tmp_path / "v.mp4", 16, beep(5, start=0.25, channels=channels))
    heard = read_sound({"video": tmp_path / "v.mp4"}, "video", 5)
    loud = heard.samples.abs().max(dim=0).values.unfold(0, 480, 480).amax(dim=1) > 0.2
    assert len(heard.samples) == channels
    assert loud.nonzero()[0].item() == pytest.approx(25, abs=1)  # in hundredths of a second
    assert probe_mp4(tmp_path / "v.mp4").audio_seconds == pytest.approx(9 / 16, abs=0.002)


def test_sound_that_ends_early_leaves_the_rest_of_the_video_silent(noise, tmp_path):
    encode_mp4(noise, tmp_path / "v.mp4", 16, beep(0.2, start=0))
    info = probe_mp4(tmp_path / "v.mp4")
    assert (info.frames, info.audio_codec) == (9, "aac")
    assert info.audio_seconds == pytest.approx(0.2, abs=0.002)


def test_only_the_wanted_seconds_of_a_sound_are_read_at_the_wanted_rate(noise, tmp_path):
    encode_mp4(noise, tmp_path / "v.mp4", 16, beep(0.5, start=0))
    sound = read_sound({"audio": tmp_path / "v.mp4"}, "audio", 0.3, rate=16_000)
    assert (sound.samples.shape, sound.seconds) == ((1, 4800), 0.3)
