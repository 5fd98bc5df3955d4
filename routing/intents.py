"""What a query may want, and which service does it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from wan_models.catalog import Kind


class Service(StrEnum):
    """Who answers a query: this service's video models, or one of its neighbours."""

    WAN = "wan"
    VLLM = "vllm"
    STT = "stt"
    TTS = "tts"
    MULTIMODAL = "multimodal"


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """One thing that a query may want.

    ``wish`` completes "This asks …". ``kind`` is the kind of video, where it is one. ``unserved`` says
    why nobody here can do it, where that is so; ``service`` is then the nearest one.
    """

    name: str
    service: Service
    wish: str
    kind: Kind | None = None
    unserved: str | None = None


_W = Service.WAN
_INTENTS = (
    Intent(name="t2v", service=_W, kind=Kind.TEXT_TO_VIDEO, wish="for a video made from a description"),
    Intent(name="i2v", service=_W, kind=Kind.IMAGE_TO_VIDEO, wish="to set a picture in motion"),
    Intent(
        name="ti2v",
        service=_W,
        kind=Kind.TEXT_IMAGE_TO_VIDEO,
        wish="for a video of a picture and a text together",
    ),
    Intent(name="s2v", service=_W, kind=Kind.SPEECH_TO_VIDEO, wish="to make a portrait speak or sing"),
    Intent(
        name="animate",
        service=_W,
        kind=Kind.ANIMATION,
        wish="to move or replace a character by another performance",
    ),
    Intent(name="vllm", service=Service.VLLM, wish="for a text or an answer"),
    Intent(name="stt", service=Service.STT, wish="for what is said in a recording, as text"),
    Intent(name="tts", service=Service.TTS, wish="for a text to be spoken"),
    Intent(name="multimodal", service=Service.MULTIMODAL, wish="to understand a picture or a video"),
    Intent(
        name="picture",
        service=Service.MULTIMODAL,
        wish="for a still picture to be made or changed",
        unserved="No service here makes or edits still pictures; a short video of the same can be made.",
    ),
    Intent(
        name="sound",
        service=Service.TTS,
        wish="for music or sounds",
        unserved="No service here makes music or sounds; speech and video can be made.",
    ),
)

INTENTS = {intent.name: intent for intent in _INTENTS}
"""Every intent by its name. The names are the classes that the classifier was trained on."""
