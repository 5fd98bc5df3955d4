"""The fields of ``POST /v1/videos``: OpenAI's own, and those that vLLM-Omni and SGLang add to them.

They come in JSON or as the text of a form, so numbers may be written as text. ``translated`` makes one of
our own bodies of them. What this service has no use for is named in a warning of the job, never dropped in
silence: clients written for other servers send fields of which they expect nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Container, Iterator, Mapping
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails, InitErrorDetails, PydanticCustomError

from api.body import parse_json
from api.form import typed_fields
from api.openai.models import spec_of
from api.refusals import MalformedJsonError
from wan_models.bodies import Animation, ImageToVideo, SpeechToVideo, TextToVideo, VideoBody
from wan_models.catalog import CATALOG, FrameRule, ModelSpec, Size, accepted_sizes
from wan_models.errors import InvalidRequestError, UnknownModelError
from wan_models.fields import MAX_SEED, RANDOM_SEED, Prompt, Text

_NEAR = 0.05  # a size so much off, to either side, is taken for the one that the model makes
_TO_CLIENT = {"task": "model", "frame_num": "num_frames", "sample_steps": "num_inference_steps"} | {
    "sample_guide_scale": "guidance_scale",
    "sample_shift": "flow_shift",
    "base_seed": "seed",
    "image_path": "input_reference",
    "audio_path": "audio_reference",
    "loras": "lora",
}
_MEANINGLESS = frozenset({"user", "metadata", "response_format"})
_ONE_VIDEO = frozenset({"n", "num_outputs_per_prompt"})  # which is what a request gets here


def parsed(value: object) -> object:
    """A form writes objects as JSON."""
    if isinstance(value, str) and value.strip().startswith(("{", "[")):
        try:
            return parse_json(value.encode())
        except MalformedJsonError:
            return value  # which the field refuses in its own words
    return value


def _url_of(value: object) -> object:
    """A reference is an address, or an object that holds one under one name or another."""
    value = parsed(value)
    if isinstance(value, Mapping):
        if isinstance(file := value.get("file_id"), str):
            return file if file.startswith("asset://") else f"asset://{file}"
        found = next((item for name, item in value.items() if str(name).endswith("url")), None)
        return found.get("url") if isinstance(found, Mapping) else found
    return value


Reference = Annotated[
    str | None,
    BeforeValidator(_url_of, json_schema_input_type=str | dict[str, str] | None),
    Field(description='An `asset://` id, an https or data URL, or an object such as `{"image_url": …}`.'),
]


_Number = Annotated[float, Field(gt=0, le=3600, allow_inf_nan=False)]
_Written = Annotated[str, Field(pattern=r"^[0-9]{1,4}(\.[0-9]{1,3})?$", examples=["4"])]
Seconds = Annotated[
    _Number | None,
    BeforeValidator(lambda value: value, json_schema_input_type=_Number | _Written | None),
]
"""A length, which OpenAI's clients write as text."""


class CreateVideo(BaseModel):
    """The body of ``POST /v1/videos``. What is left out takes the model's official default."""

    model_config = ConfigDict(extra="allow", frozen=True, protected_namespaces=())

    prompt: Annotated[Prompt, Field(description="What to show.")]
    model: Annotated[
        str | None, Field(max_length=128, description="Id of a model; absent: one that fits.")
    ] = None
    seconds: Annotated[Seconds, Field(description="Length of the video.")] = None
    size: Annotated[
        str | None, Field(max_length=16, description="Width and height.", examples=["1280x720"])
    ] = None
    width: Annotated[int | None, Field(ge=1, le=16384, description="With `height` in place of `size`.")] = (
        None
    )
    height: Annotated[int | None, Field(ge=1, le=16384, description="With `width` in place of `size`.")] = (
        None
    )
    num_frames: Annotated[int | None, Field(ge=1, le=100_000, description="In place of `seconds`.")] = None
    fps: Annotated[int | None, Field(ge=1, le=60, description="Frames a second of playback.")] = None
    num_inference_steps: Annotated[int | None, Field(ge=1, le=100, description="Denoising steps.")] = None
    guidance_scale: Annotated[
        float | None,
        Field(ge=1, le=20, allow_inf_nan=False, description="Of both experts, or of the high-noise one."),
    ] = None
    guidance_scale_2: Annotated[
        float | None, Field(ge=1, le=20, allow_inf_nan=False, description="Of the low-noise expert.")
    ] = None
    flow_shift: Annotated[
        float | None, Field(ge=1, le=30, allow_inf_nan=False, description="Shift of the noise schedule.")
    ] = None
    boundary_ratio: Annotated[
        float | None,
        Field(gt=0, lt=1, allow_inf_nan=False, description="Share of the schedule where the experts change."),
    ] = None
    seed: Annotated[int | None, Field(ge=RANDOM_SEED, le=MAX_SEED, description="-1: one is drawn.")] = None
    negative_prompt: Annotated[Text | None, Field(description="What to avoid; empty for nothing.")] = None
    input_reference: Reference = None
    image_reference: Reference = None
    reference_url: Reference = None
    video_reference: Reference = None
    audio_reference: Reference = None
    lora: Annotated[
        Any, BeforeValidator(parsed), Field(description='`{"name": …, "scale": …}`, or a list of those.')
    ] = None

    @property
    def picture(self) -> str | None:
        """The reference image, by whichever name."""
        return self.input_reference or self.image_reference or self.reference_url

    @property
    def others(self) -> dict[str, Any]:
        """Fields that are none of the dialect's: this service's own, and those of other servers."""
        return dict(self.model_extra or {})


class Remix(BaseModel, extra="forbid"):
    """The body of a remix."""

    prompt: Prompt


class Source(BaseModel, extra="forbid"):
    """A video of this service."""

    id: str


def _source_of(value: object) -> object:
    """The SDK can send an object only in its ``extra_body``; the text of a form it can."""
    value = parsed(value)
    return {"id": value} if isinstance(value, str) else value


class FileExtension(BaseModel, extra="forbid"):
    """The body of an extension of a video that comes with it; ``seconds`` is the length of what is new."""

    prompt: Prompt
    seconds: Seconds = None


class Extension(FileExtension):
    """The body of an extension of a video of this service."""

    video: Annotated[
        Source,
        BeforeValidator(_source_of, json_schema_input_type=Source | str),
        Field(description="A finished video, or its id. In a form it may also be an MP4 or WebM file."),
    ]


@dataclass(frozen=True, slots=True)
class Translation:
    """A request in our own words, and sentences on what was taken otherwise than it was written."""

    body: VideoBody
    warnings: tuple[str, ...]


def unwrapped(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Fields that came inside ``extra_params`` or ``extra_body`` beside the others, which win."""
    inner: dict[str, Any] = {}
    for name in ("extra_params", "extra_body"):
        value = parsed(fields.get(name))
        if isinstance(value, Mapping):
            inner |= value
    return {
        **inner,
        **{name: value for name, value in fields.items() if name not in {"extra_params", "extra_body"}},
    }


def translated(
    asked: CreateVideo, files: AbstractSet[str], is_offered: Callable[[ModelSpec], bool], tiny: bool
) -> Translation:
    """Say in our words what a client asks for in OpenAI's.

    Args:
        asked: the client's fields.
        files: the fields of our bodies that a file came for.
        is_offered: whether a model is installed here.
        tiny: whether tiny models, which also take small sizes, are what is installed.

    Raises:
        UnknownModelError: there is no such model.
        InvalidRequestError: the model cannot do it; the field is the client's.
        ValidationError: one of our own fields is wrong.
    """
    warnings: list[str] = []
    kind = _kind(asked, files)
    spec = _spec(asked.model, kind, is_offered)
    with in_client_terms(asked.others):
        size = _size(asked, accepted_sizes(spec, tiny=tiny), warnings)
        fps = asked.fps or spec.fps
        fields: dict[str, Any] = {
            "task": spec.id,
            "prompt": asked.prompt,
            "negative_prompt": asked.negative_prompt,
            "size": None if size is None else str(size),
            "frame_num": _frames(asked, spec.frames, fps, warnings),
            "fps": asked.fps,
            "sample_steps": asked.num_inference_steps,
            "sample_guide_scale": _guidance(asked, spec),
            "sample_shift": asked.flow_shift,
            "boundary": asked.boundary_ratio,
            "base_seed": asked.seed,
            "loras": _loras(asked.lora),
            **_references(kind, asked, files),
            **_own(kind, asked.others, warnings),
        }
        return Translation(
            kind.model_validate({name: value for name, value in fields.items() if value is not None}),
            tuple(warnings),
        )


@contextmanager
def in_client_terms(ours: Container[str] = ()) -> Iterator[None]:
    """Name fields as the client wrote them where our own refuse; ``ours`` are those it wrote as we do."""

    def named(field: str) -> str:
        return field if field in ours else _TO_CLIENT.get(field, field)

    try:
        yield
    except InvalidRequestError as error:
        raise InvalidRequestError(named(error.field), error.message) from None
    except ValidationError as error:
        renamed = [_renamed(fault, named) for fault in error.errors()]
        raise ValidationError.from_exception_data(error.title, renamed) from None


def _renamed(fault: ErrorDetails, named: Callable[[str], str]) -> InitErrorDetails:
    first, *rest = fault["loc"] or ("",)
    said = PydanticCustomError(fault["type"], "{msg}", {"msg": fault["msg"]})
    return InitErrorDetails(type=said, loc=(named(str(first)), *rest), input=None)


def _kind(asked: CreateVideo, files: AbstractSet[str]) -> type[VideoBody]:
    others = asked.others
    if "src_root_path" in others or "src_root_path" in files:
        return Animation
    if asked.audio_reference or "audio_path" in files or "audio_path" in others or others.get("enable_tts"):
        return SpeechToVideo
    if asked.picture or "image_path" in files or "image_path" in others:
        return ImageToVideo
    return TextToVideo


def _spec(model: str | None, kind: type[VideoBody], is_offered: Callable[[ModelSpec], bool]) -> ModelSpec:
    able = [spec for spec in CATALOG.values() if kind.kind in spec.accepts]
    if model is None:
        return next((spec for spec in able if is_offered(spec)), able[0])
    spec = spec_of(model)
    if spec is None:
        raise UnknownModelError(model)
    return spec


def _size(asked: CreateVideo, accepted: tuple[Size, ...], warnings: list[str]) -> Size | None:
    if asked.size is None and asked.width is None and asked.height is None:
        return None
    if asked.size is not None:
        if asked.width is not None or asked.height is not None:
            warnings.append("width and height were left aside: size says both.")
        try:
            size = Size.parse(asked.size)
        except ValueError as error:
            raise InvalidRequestError("size", str(error)) from None
    elif asked.width is None or asked.height is None:
        raise InvalidRequestError("width" if asked.width is None else "height", "Send both, or `size`.")
    else:
        size = Size(asked.width, asked.height)
    near = next((other for other in accepted if _is_near(size, other)), None)
    if size in accepted or near is None:
        return size  # which is refused later, with the list of those accepted
    warnings.append(f"size {size} was taken as {near}, which the model makes.")
    return near


def _is_near(size: Size, other: Size) -> bool:
    return all(math.isclose(mine, its, rel_tol=_NEAR) for mine, its in zip(size, other, strict=True))


def _frames(asked: CreateVideo, rule: FrameRule, fps: int, warnings: list[str]) -> int | None:
    if asked.num_frames is None and asked.seconds is None:
        return None
    if asked.num_frames is not None and asked.seconds is not None:
        warnings.append("seconds was left aside: num_frames says the length.")
    wanted = asked.num_frames if asked.num_frames is not None else round((asked.seconds or 0) * fps)
    if wanted > rule.maximum:
        field = "seconds" if asked.num_frames is None else "num_frames"
        raise InvalidRequestError(
            field,
            f"The model makes up to {rule.maximum} frames, {rule.maximum / fps:.1f} s at {fps} a second.",
        )
    if rule.allows(wanted):
        return wanted
    frames = min(rule.nearest(wanted), key=lambda valid: abs(valid - wanted))
    if asked.num_frames is not None:
        warnings.append(
            f"num_frames {wanted} was taken as {frames}: the model makes {rule.step}n+{rule.offset}."
        )
    return frames


def _guidance(asked: CreateVideo, spec: ModelSpec) -> tuple[float, float] | None:
    """Diffusers' order is high-noise, low-noise; Wan's own is the other way round."""
    if asked.guidance_scale is None and asked.guidance_scale_2 is None:
        return None
    high = asked.guidance_scale or spec.guidance.high
    low = asked.guidance_scale_2 or (asked.guidance_scale or spec.guidance.low)
    return (low, high) if spec.boundary is not None else (high, high)


def _loras(value: Any) -> list[dict[str, Any]] | None:
    if value in (None, "", [], {}):
        return None
    adapters = value if isinstance(value, list) else [value]
    return [_lora(one) for one in adapters]


def _lora(value: Any) -> dict[str, Any]:
    if isinstance(value, str):
        return {"name": value}
    if not isinstance(value, Mapping):
        raise InvalidRequestError("lora", 'Name an adapter of `/models`, or send {"name": …, "scale": …}.')
    name = value.get("name", value.get("lora_name", value.get("path")))
    strength = value.get("strength", value.get("scale"))
    return {"name": name} | ({} if strength is None else {"strength": strength})


def _references(kind: type[VideoBody], asked: CreateVideo, files: AbstractSet[str]) -> dict[str, Any]:
    given = {
        "image_path": asked.picture,
        "audio_path": asked.audio_reference,
        "pose_video": asked.video_reference,
    }
    named = {field for field, value in given.items() if value} | files
    wrong = next((field for field in sorted(named) if field not in kind.sources), None)
    if wrong:
        raise InvalidRequestError(
            {"pose_video": "video_reference"}.get(wrong, wrong), "This model takes no such reference."
        )
    return {field: value for field, value in given.items() if value} | {
        field: f"form:{field}" for field in files
    }


def _own(kind: type[VideoBody], others: Mapping[str, Any], warnings: list[str]) -> dict[str, Any]:
    """Fields of our own among the client's; the rest is of no use here."""
    known = {name: value for name, value in others.items() if name in kind.model_fields}
    text = {name: value for name, value in known.items() if isinstance(value, str)}
    others = {name: value for name, value in others.items() if name not in _ONE_VIDEO or str(value) != "1"}
    useless = sorted(name for name in others.keys() - known.keys() - _MEANINGLESS)
    if useless:
        warnings.append(f"This service has no use for: {', '.join(name[:64] for name in useless[:20])}.")
    return {name: value for name, value in known.items() if name not in text} | typed_fields(kind, text)


ACCEPTED_FILES: Mapping[str, str] = {
    "input_reference": "image_path",
    "image_reference": "image_path",
    "audio_reference": "audio_path",
    "video_reference": "pose_video",
}
"""Which of our fields a file of a form is for, by the client's name of it."""
