"""The bodies of the five endpoints: what each takes beside the common fields, and what it becomes."""

from typing import Any

import pytest
from pydantic import ValidationError

from wan_models.bodies import Animation, ImageToVideo, SpeechToVideo, TextImageToVideo, VideoBody
from wan_models.catalog import CATALOG
from wan_models.errors import InvalidRequestError
from wan_models.request import VideoRequest, resolve

COMMON: dict[str, Any] = {
    "frame_num": 17,
    "sample_steps": 20,
    "sample_guide_scale": 7.5,
    "base_seed": 42,
}
SPEECH: dict[str, Any] = {"prompt": "A person speaking", "image_path": "a.jpg", "audio_path": "a.wav"}


def resolved(kind: type[VideoBody], **fields: Any) -> VideoRequest:
    body = kind.model_validate({"prompt": "a cat"} | fields)
    return resolve(body, CATALOG[body.task], tiny=True)


def test_the_image_example_of_the_guide_is_taken():
    body = {"task": "i2v-A14B", "image_path": "/path/to/image.jpg", "size": "1280*720", **COMMON}
    assert resolved(ImageToVideo, **body).task == "i2v-A14B"


def test_the_speech_example_of_the_guide_is_taken():
    request = resolved(
        SpeechToVideo,
        task="s2v-14B",
        image_path="/path/to/reference.jpg",
        enable_tts=True,
        tts_prompt_text="Hello, this is a test.",
        tts_text="This is the text to synthesize",
        size="1280*720",
        **COMMON,
    )
    assert request.tts_text == "This is the text to synthesize"
    assert request.tts_prompt_text == "Hello, this is a test."
    assert len(request.warnings) == 1
    assert "tts_prompt_audio" in request.warnings[0]


def test_the_animation_example_of_the_guide_is_taken_with_a_warning_about_its_refert_num():
    body = {"task": "animate-14B", "src_root_path": "/path/to/data", "replace_flag": False, "refert_num": 77}
    request = resolved(Animation, **body, **COMMON)
    assert (request.refert_num, request.replace_flag) == (1, False)
    assert len(request.warnings) == 1
    assert "77" in request.warnings[0]


@pytest.mark.parametrize("refert_num", [1, 5])
def test_a_refert_num_that_works_is_taken_as_it_is(refert_num):
    request = resolved(Animation, src_root_path="data", refert_num=refert_num)
    assert (request.refert_num, request.warnings) == (refert_num, ())


@pytest.mark.parametrize("refert_num", [0, 2, 76, "5", 5.5, None, True])
def test_no_other_refert_num_is_taken(refert_num):
    with pytest.raises(ValidationError):
        resolved(Animation, src_root_path="data", refert_num=refert_num)


def test_each_body_tells_which_inputs_it_names():
    body = ImageToVideo(prompt="a cat", image_path="asset://a")
    assert body.given == {"image_path": "asset://a"}
    assert TextImageToVideo(prompt="a cat").given == {}


@pytest.mark.parametrize("kind", [ImageToVideo, TextImageToVideo])
def test_the_5b_model_animates_images_too(kind):
    assert resolved(kind, task="ti2v-5B", image_path="a.png").task == "ti2v-5B"


def test_a_last_frame_is_refused_where_the_model_takes_none():
    with pytest.raises(InvalidRequestError, match="first frame only") as caught:
        resolved(ImageToVideo, task="ti2v-5B", image_path="a.png", last_image_path="b.png")
    assert caught.value.field == "last_image_path"


@pytest.mark.parametrize(
    ("kind", "task", "able"),
    [
        (ImageToVideo, "t2v-A14B", "i2v-A14B, ti2v-5B"),
        (SpeechToVideo, "i2v-A14B", "s2v-14B"),
        (Animation, "s2v-14B", "animate-14B"),
    ],
)
def test_a_task_of_another_kind_is_refused_with_those_that_would_do(kind, task, able):
    inputs = {"image_path": "a", "audio_path": "a", "src_root_path": "a"}
    fields = {name: inputs[name] for name in kind.sources if name in inputs}
    with pytest.raises(InvalidRequestError, match=f"Models that do: {able}\\.") as caught:
        resolved(kind, task=task, **fields)
    assert caught.value.field == "task"


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"audio_path": None}, "audio_path"),
        ({"audio_path": None, "enable_tts": True}, "tts_text"),
        ({"enable_tts": True, "tts_text": "Hello"}, "audio_path"),
        ({"tts_text": "Hello"}, "tts_text"),
        ({"tts_prompt_audio": "a.wav"}, "tts_prompt_audio"),
    ],
)
def test_speech_comes_from_exactly_one_place(changes, field):
    with pytest.raises(InvalidRequestError) as caught:
        SpeechToVideo.model_validate(SPEECH | changes)
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("changes", "frames"),
    [
        ({}, 957),
        ({"num_clip": 1}, 77),
        ({"num_clip": 2, "infer_frames": 40}, 77),
        ({"num_clip": 1, "infer_frames": 4}, 5),
        ({"num_clip": 100}, 957),
        ({"num_clip": 1, "frame_num": 17}, 17),
    ],
)
def test_a_speaking_video_is_as_long_as_the_speech_the_clips_or_the_frames_asked_for(changes, frames):
    assert resolved(SpeechToVideo, **SPEECH | changes).frame_num == frames


@pytest.mark.parametrize("source", ["", "  ", 5, None, ["a"], "a\0b"])
def test_an_input_must_be_named_in_words(source):
    with pytest.raises(ValidationError) as caught:
        ImageToVideo.model_validate({"prompt": "a cat", "image_path": source})
    assert {error["loc"][0] for error in caught.value.errors()} == {"image_path"}
