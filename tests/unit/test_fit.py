"""Requests and their inputs: what must go together, and what the one makes of the other."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wan_models.bodies import Animation, ImageToVideo, SpeechToVideo, TextImageToVideo, VideoBody
from wan_models.catalog import CATALOG
from wan_models.errors import InvalidRequestError
from wan_models.fit import fit
from wan_models.media import Media, MediaKind, sniff
from wan_models.request import VideoRequest, resolve


def image(width: int, height: int) -> Media:
    return Media(kind=MediaKind.IMAGE, suffix="png", width=width, height=height)


def sound(seconds: float) -> Media:
    return Media(kind=MediaKind.AUDIO, suffix="wav", seconds=seconds)


def video(frames: int, width: int = 1280, height: int = 720) -> Media:
    return Media(kind=MediaKind.VIDEO, suffix="mp4", width=width, height=height, frames=frames)


def fitted(body: VideoBody, **media: Media) -> VideoRequest:
    spec = CATALOG[body.task]
    return fit(resolve(body, spec, tiny=False), spec, media)


def speech(**fields: Any) -> SpeechToVideo:
    return SpeechToVideo(prompt="a", image_path="a", audio_path="b", **fields)


def animation(**fields: Any) -> Animation:
    return Animation(src_root_path="a", **fields)


def refusal(body: VideoBody, **media: Media) -> tuple[str, str]:
    with pytest.raises(InvalidRequestError) as caught:
        fitted(body, **media)
    return caught.value.field, caught.value.message


@given(st.integers(1, 20_000), st.integers(1, 20_000))
def test_every_image_is_refused_or_gives_a_size_that_the_model_makes(width, height):
    fields = {"image_path"}
    for body in (
        ImageToVideo(prompt="a", image_path="a"),
        TextImageToVideo(prompt="a", image_path="a"),
        speech(),
    ):
        try:
            request = fitted(body, image=image(width, height), audio=sound(1))
        except InvalidRequestError as error:
            fields.add(error.field)
            continue
        spec = CATALOG[body.task]
        assert request.width % spec.size_multiple == request.height % spec.size_multiple == 0
        assert 0 < request.width * request.height <= 1280 * 720
    assert fields == {"image_path"}


def test_without_an_image_the_size_is_the_one_asked_for():
    request = fitted(TextImageToVideo(prompt="a"))
    assert (request.width, request.height) == CATALOG["ti2v-5B"].sizes[0]


@pytest.mark.parametrize(
    ("seconds", "frames"), [(0.3, 5), (1, 17), (1.0625, 17), (1.07, 21), (59.8, 957), (60, 957)]
)
def test_a_video_lasts_as_long_as_its_speech(seconds, frames):
    assert fitted(speech(), image=image(64, 64), audio=sound(seconds)).frame_num == frames


def test_a_speech_is_cut_where_the_client_says():
    assert fitted(speech(frame_num=9), image=image(64, 64), audio=sound(30)).frame_num == 9


@pytest.mark.parametrize(("seconds", "words"), [(0.29, "too short"), (60.1, "too long")])
def test_a_speech_must_be_long_enough_and_no_longer_than_the_model_takes(seconds, words):
    field, message = refusal(speech(), image=image(64, 64), audio=sound(seconds))
    assert field == "audio_path"
    assert words in message
    field, message = refusal(speech(), image=image(64, 64), audio=sound(1), tts_prompt=sound(seconds))
    assert field == "tts_prompt_audio"
    assert words in message


def test_an_animation_is_no_larger_than_its_poses():
    media = {"pose": video(9, 200, 120), "face": video(9, 512, 512), "ref": image(64, 64)}
    request = fitted(animation(), **media)
    assert (request.width, request.height) == (192, 112)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"pose": None, "ref": None}, "lacks src_pose.mp4 and src_ref.png"),
        ({"pose": video(1), "face": video(1)}, "has 1 frame;"),
        ({"pose": video(901), "face": video(901)}, "has 901 frames"),
        ({"face": video(8)}, "src_face.mp4 has 8 frames"),
        ({"bg": None}, "lacks src_bg.mp4"),
        ({"mask": video(8)}, "src_mask.mp4 has 8 frames"),
        ({"mask": video(9, 640, 360)}, "src_mask.mp4 is 640*360"),
        ({"bg": video(9, 640, 360)}, "src_bg.mp4 is 640*360"),
        ({"pose": video(9, 5000, 100), "bg": video(9, 5000, 100), "mask": video(9, 5000, 100)}, "narrow"),
    ],
)
def test_the_files_of_an_animation_must_go_together(changes, words):
    whole = {name: video(9) for name in ("pose", "face", "bg", "mask")} | {"ref": image(64, 64)}
    media = {name: found for name, found in (whole | changes).items() if found is not None}
    field, message = refusal(animation(replace_flag=True), **media)
    assert field == "src_root_path"
    assert words in message


def test_poses_must_outlast_what_a_segment_takes_over():
    media = {"pose": video(5), "face": video(5), "ref": image(64, 64)}
    assert "6 to 900" in refusal(animation(refert_num=5), **media)[1]
    assert fitted(animation(refert_num=1), **media)


@pytest.mark.parametrize(
    ("head", "suffix"),
    [
        (b"\x89PNG\r\n\x1a\n", "png"),
        (b"\xff\xd8\xff\xe0", "jpg"),
        (b"RIFF\0\0\0\0WEBPVP8 ", "webp"),
        (b"RIFF\0\0\0\0WAVEfmt ", "wav"),
        (b"RIFF\0\0\0\0AVI LIST", None),
        (b"fLaC\0\0\0\x22", "flac"),
        (b"OggS\0\x02", "ogg"),
        (b"ID3\x04", "mp3"),
        (b"\xff\xfb\x90\x00", "mp3"),
        (b"\xff\xf1\x50\x80", None),
        (b"\0\0\0\x20ftypM4A ", "m4a"),
        (b"\0\0\0\x20ftypisom", "mp4"),
        (b"\0\0\0\x20ftypheic", None),
        (b"\0\0\0\x20ftypavif", None),
        (b"\x1aE\xdf\xa3", "webm"),
        (b"PK\x03\x04", "zip"),
        (b"GIF89a", None),
        (b"<svg", None),
        (b"#EXTM3U", None),
        (b"", None),
        (b"\xff", None),
    ],
)
def test_the_first_bytes_tell_the_format(head, suffix):
    found = sniff(head)
    assert (found.suffix if found else None) == suffix
