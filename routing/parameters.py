"""From a query to the body of the request that fulfils it, ready to post."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from routing.numbers import Numbers, frame_num, nearest_size, read_numbers
from routing.phrases import without
from routing.prompt import avoided, prompt_of, scenery_of
from routing.query import RouteQuery
from routing.speech import spoken_words, text_to_read
from wan_models.catalog import Kind, ModelSpec
from wan_models.fields import MAX_PROMPT_CHARACTERS

_WORDLESS = {  # for queries that say what to do and not what to show; they are the integration guide's own
    Kind.IMAGE_TO_VIDEO: "The image comes to life with gentle movement",
    Kind.TEXT_IMAGE_TO_VIDEO: "The image comes to life with gentle movement",
    Kind.SPEECH_TO_VIDEO: "A person speaking naturally",
    Kind.ANIMATION: "A character performing a simple animation",
}


@dataclass(slots=True)
class Body:
    """The body of a request.

    ``missing`` are fields it cannot do without that the query does not give; ``notes`` say where it is
    not quite what was asked for.
    """

    fields: dict[str, Any] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def need(self, name: str, value: str | None) -> None:
        """Take a field that the request cannot do without."""
        if value is None:
            self.missing.append(name)
        else:
            self.fields[name] = value


def wanted_seconds(query: RouteQuery) -> float | None:
    """How long the video is to be, where the query says so and its context allows it."""
    seconds, most = read_numbers(query.query).seconds, query.context.max_duration
    return seconds if seconds is None or most is None else min(seconds, most)


def video_body(query: RouteQuery, kind: Kind, spec: ModelSpec, language: str) -> Body:
    """The body for one of the ``/generate`` endpoints.

    Args:
        query: what was asked.
        kind: what kind of video it asks for.
        spec: the model that makes it.
        language: of the query.
    """
    body, text = Body({"task": spec.id}), query.query
    said = spoken_words(text) if kind is Kind.SPEECH_TO_VIDEO else None
    outside = without(text, said[1]) if said else text
    numbers = read_numbers(outside)
    negative, rest = avoided(without(outside, *numbers.spans))
    prompt = prompt_of(rest, language)
    if kind is Kind.SPEECH_TO_VIDEO:
        prompt = scenery_of(prompt, language, quoted=said is not None)
    body.fields["prompt"] = prompt or _WORDLESS.get(kind) or text[:MAX_PROMPT_CHARACTERS]
    if negative is not None:
        body.fields["negative_prompt"] = f"{spec.negative_prompt}, {negative}"
    _add_numbers(body, numbers, query, kind, spec)
    _INPUTS[kind](body, query, said[0] if said else None)
    return body


def _add_numbers(body: Body, numbers: Numbers, query: RouteQuery, kind: Kind, spec: ModelSpec) -> None:
    size = nearest_size(numbers, spec)
    if size is not None:
        body.fields["size"] = str(size)
        body.notes.extend(_size_note(numbers, str(size), spec))
    fps = query.context.fps or numbers.fps
    if kind is not Kind.ANIMATION:  # its pose video says how many frames there are
        frames = frame_num(numbers, spec.frames, fps or spec.fps, query.context.max_duration)
        if frames is not None:
            body.fields["frame_num"] = frames
        body.notes.extend(_length_note(numbers, frames, fps or spec.fps))
    if fps is not None:
        body.fields["fps"] = fps
    seed = query.context.seed if query.context.seed is not None else numbers.seed
    if seed is not None:
        body.fields["base_seed"] = seed


def _size_note(numbers: Numbers, size: str, spec: ModelSpec) -> list[str]:
    width, height = map(int, size.split("*"))
    near_shape = numbers.aspect is None or abs(width / height / numbers.aspect - 1) < 0.1  # noqa: PLR2004 - a tenth
    if near_shape and (numbers.lines is None or numbers.lines <= min(width, height) + 16):
        return []
    return [f"{spec.id} does not make that size; {size} is the nearest."]


def _length_note(numbers: Numbers, frames: int | None, fps: int) -> list[str]:
    if frames is None or numbers.seconds is None or abs(frames / fps - numbers.seconds) <= 0.5:  # noqa: PLR2004 - half a second
        return []
    return [f"The video will last {frames / fps:.1f} seconds, not {numbers.seconds:g}."]


def _text_inputs(_body: Body, _query: RouteQuery, _said: str | None) -> None:
    """Nothing beside the prompt."""


def _image_inputs(body: Body, query: RouteQuery, _said: str | None) -> None:
    body.need("image_path", _source(query, "image"))
    images = [attachment for attachment in query.attachments if attachment.kind == "image"]
    if len(images) > 1 and images[1].source and body.fields["task"] == "i2v-A14B":
        body.fields["last_image_path"] = images[1].source


def _speech_inputs(body: Body, query: RouteQuery, said: str | None) -> None:
    body.need("image_path", _source(query, "image"))
    if query.first("audio") is not None:
        body.need("audio_path", _source(query, "audio"))
    elif said is not None:
        body.fields.update(enable_tts=True, tts_text=said[:MAX_PROMPT_CHARACTERS])
    else:
        body.missing.append("audio_path")
    if pose := _source(query, "pose"):
        body.fields["pose_video"] = pose


def _animation_inputs(body: Body, query: RouteQuery, _said: str | None) -> None:
    body.need("src_root_path", _source(query, "pose"))
    if "src_root_path" in body.missing and query.first("video") is not None:
        body.notes.append(
            "The model takes poses and a face drawn from the video, not the video itself: a folder or a .zip "
            "with src_pose.mp4, src_face.mp4 and src_ref.png, as Wan's own preprocessing makes them."
        )


_INPUTS: dict[Kind, Callable[[Body, RouteQuery, str | None], None]] = {
    Kind.TEXT_TO_VIDEO: _text_inputs,
    Kind.IMAGE_TO_VIDEO: _image_inputs,
    Kind.TEXT_IMAGE_TO_VIDEO: _image_inputs,
    Kind.SPEECH_TO_VIDEO: _speech_inputs,
    Kind.ANIMATION: _animation_inputs,
}


def chat_body(query: RouteQuery, model: str | None) -> Body:
    """The body of a chat completion (OpenAI), pictures and videos beside the text."""
    content: Any = query.query
    media = [attachment for attachment in query.attachments if attachment.kind in ("image", "video")]
    if media:
        shown = [
            {"type": f"{one.kind}_url", f"{one.kind}_url": {"url": one.source}} for one in media if one.source
        ]
        content = [{"type": "text", "text": query.query}, *shown]
    body = Body({"messages": [{"role": "user", "content": content}]})
    if model is not None:
        body.fields["model"] = model
    if query.stream:
        body.fields["stream"] = True
    return body


def transcription_body(query: RouteQuery, model: str | None) -> Body:
    """The fields of a transcription (OpenAI); ``file`` is where the recording is."""
    body = Body({} if model is None else {"model": model})
    body.need("file", _source(query, "audio") or _source(query, "video"))
    return body


def speech_body(query: RouteQuery, model: str | None, voice: str) -> Body:
    """The body of a text-to-speech request (OpenAI)."""
    body = Body({"input": text_to_read(query.query), "voice": voice})
    if model is not None:
        body.fields["model"] = model
    return body


def _source(query: RouteQuery, kind: str) -> str | None:
    attachment = query.first(kind)
    return attachment.source if attachment else None
