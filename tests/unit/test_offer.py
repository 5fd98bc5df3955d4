"""What a deployment does not offer is refused before it is queued, by the name of its field."""

from typing import Any

import pytest

from wan_models.bodies import ImageToVideo, SpeechToVideo, TextToVideo, VideoBody
from wan_models.errors import InvalidRequestError
from wan_models.offer import check_offered

SPOKEN: dict[str, Any] = {
    "prompt": "a cat",
    "image_path": "a.png",
    "enable_tts": True,
    "tts_prompt_text": "what is said in it",
    "tts_text": "Hello",
}
SPEECH: dict[str, Any] = {"prompt": "a cat", "image_path": "a.png", "audio_path": "a.wav"}
OFFERED = ("", "")
ENGINES = ("vllm-omni", "sglang")


def refused(body: VideoBody, *, engine: str | None = None, clones_voices: bool = False) -> tuple[str, str]:
    """The field that is refused and why, both empty where the body is offered."""
    try:
        check_offered(body, engine=engine, clones_voices=clones_voices)
    except InvalidRequestError as error:
        return error.field, error.message
    return OFFERED


def test_a_text_may_be_spoken_where_no_voice_can_be_cloned():
    assert refused(SpeechToVideo(**SPOKEN)) == OFFERED


def test_a_voice_is_cloned_by_a_service_alone():
    body = SpeechToVideo(**SPOKEN, tts_prompt_audio="voice.wav")
    field, message = refused(body)
    assert field == "tts_prompt_audio"
    assert "TTS_URL" in message
    assert refused(body, clones_voices=True) == OFFERED
    assert refused(body, engine="vllm-omni", clones_voices=True) == OFFERED


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("field", "body"),
    [
        ("loras", TextToVideo(prompt="a", loras=({"name": "b"},))),
        ("preset", TextToVideo(prompt="a", preset="lightning")),
        ("last_image_path", ImageToVideo(prompt="a", image_path="b", last_image_path="c")),
        ("pose_video", SpeechToVideo(**SPEECH, pose_video="b")),
        ("infer_frames", SpeechToVideo(**SPEECH, infer_frames=40)),
        ("start_from_ref", SpeechToVideo(**SPEECH, start_from_ref=True)),
    ],
)
def test_what_engines_do_not_take_is_refused_where_one_serves_the_task(engine, field, body):
    named, message = refused(body, engine=engine)
    assert named == field
    assert engine in message
    assert refused(body) == OFFERED


@pytest.mark.parametrize("engine", ENGINES)
def test_what_engines_take_is_taken(engine):
    full = {"size": "1280*720", "sample_shift": 3.0, "sample_guide_scale": 2.0, "preset": "fast"}
    assert refused(TextToVideo(prompt="a", **full), engine=engine) == OFFERED
    assert refused(SpeechToVideo(**SPEECH), engine=engine) == OFFERED


def test_the_experts_change_over_where_the_engine_can_be_told_so():
    body = TextToVideo(prompt="a", boundary=0.5)
    assert refused(body, engine="sglang")[0] == "boundary"
    assert refused(body, engine="vllm-omni") == OFFERED
