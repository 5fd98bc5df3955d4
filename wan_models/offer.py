"""What a deployment does not offer although the model would, so that it is refused before it is queued.

No torch here.
"""

from __future__ import annotations

from wan_models.bodies import SpeechToVideo, VideoBody
from wan_models.errors import InvalidRequestError
from wan_models.presets import LIGHTNING

# What neither dialect of the engines has a field for; and what SGLang's has none for.
_BEYOND_ENGINES = ("last_image_path", "loras", "pose_video", "infer_frames", "start_from_ref")
_BEYOND_SGLANG = ("boundary",)


def check_offered(body: VideoBody, *, engine: str | None, clones_voices: bool) -> None:
    """Hold a request against what this deployment is made of.

    Args:
        body: what the client sent.
        engine: the dialect of the server that makes the videos of its task, None for our own pipelines.
        clones_voices: whether texts are spoken by a service, which can take a voice from a sample.

    Raises:
        InvalidRequestError: it is not offered here; the field at fault is named.
    """
    if isinstance(body, SpeechToVideo) and body.tts_prompt_audio and not clones_voices:
        raise InvalidRequestError(
            "tts_prompt_audio",
            "No voice can be cloned here. Leave it out, or have the operator set TTS_URL, for the gateway "
            "and the workers, to a text-to-speech service that clones voices.",
        )
    if engine is not None:
        _check_engine(body, engine)


def _check_engine(body: VideoBody, engine: str) -> None:
    if body.preset == LIGHTNING:
        raise InvalidRequestError("preset", f"{engine}, which serves {body.task} here, has no adapters.")
    for field in _BEYOND_ENGINES + _BEYOND_SGLANG * (engine == "sglang"):
        if getattr(body, field, None):
            raise InvalidRequestError(field, f"{engine}, which serves {body.task} here, does not take it.")
