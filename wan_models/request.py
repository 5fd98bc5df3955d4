"""What a client may ask for, and the same request with every default filled in.

``TextToVideo`` checks each field alone; ``resolve`` checks it against the model that will run it and
returns a ``VideoRequest``, which is stored with the job and handed to the pipeline. No torch here.
"""

from __future__ import annotations

import secrets
import unicodedata
from collections.abc import Callable
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from wan_models.catalog import FrameRule, Guidance, Kind, ModelSpec, Size, accepted_sizes
from wan_models.errors import InvalidRequestError

MAX_PROMPT_CHARACTERS = 2000
"""About what the text encoder reads: Wan cuts a prompt after 512 tokens."""

MAX_SEED = 2**53 - 1
"""The largest whole number that every JSON reader keeps exactly."""

RANDOM_SEED = -1
"""What a client sends, as with Wan's own command line, to have a seed drawn."""


def random_seed() -> int:
    """Draw a seed, 32 bits wide, that the operating system vouches for."""
    return secrets.randbelow(2**32)


def _clean_text(text: str) -> str:
    text = text.strip()
    if any(unicodedata.category(char) == "Cc" and char not in "\t\n\r" for char in text):
        raise ValueError("must not contain control characters")
    return text


def _require_visible(text: str) -> str:
    if not any(char.isprintable() and not char.isspace() for char in text):
        raise ValueError("must not be empty")
    return text


def _both(value: object) -> object:
    return (value, value) if isinstance(value, int | float) else value


Text = Annotated[str, Field(strict=True, max_length=MAX_PROMPT_CHARACTERS), AfterValidator(_clean_text)]
Prompt = Annotated[Text, AfterValidator(_require_visible)]
Steps = Annotated[int, Field(strict=True, ge=1, le=100)]
Shift = Annotated[float, Field(strict=True, ge=1, le=30, allow_inf_nan=False)]
Fps = Annotated[int, Field(strict=True, ge=1, le=60)]
Scale = Annotated[float, Field(strict=True, ge=1, le=20, allow_inf_nan=False)]  # 1 switches guidance off
Scales = Annotated[
    tuple[Scale, Scale], BeforeValidator(_both, json_schema_input_type=Scale | tuple[Scale, Scale])
]


class TextToVideo(BaseModel):
    """The body of ``POST /generate/text-to-video``. What is left out takes the model's official default."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    task: Annotated[str, Field(strict=True, max_length=64, description="Id of a model, see `/models`.")] = (
        "t2v-A14B"
    )
    prompt: Prompt
    size: Annotated[
        str | None,
        Field(strict=True, max_length=16, description="Width*height.", examples=["1280*720"]),
    ] = None
    frame_num: Annotated[
        int | None, Field(strict=True, ge=-(2**31), le=2**31, description="Frames of the video, 4n+1.")
    ] = None
    sample_steps: Annotated[Steps | None, Field(description="Denoising steps.")] = None
    sample_guide_scale: Annotated[
        Scales | None,
        Field(description="Guidance: one number, or the pair of the low-noise and the high-noise expert."),
    ] = None
    sample_shift: Annotated[Shift | None, Field(description="Shift of the noise schedule.")] = None
    base_seed: Annotated[
        int | None,
        Field(strict=True, ge=RANDOM_SEED, le=MAX_SEED, description="Absent or -1: a seed is drawn."),
    ] = None
    negative_prompt: Annotated[Text | None, Field(description="What to avoid; empty for nothing.")] = None
    fps: Annotated[Fps | None, Field(description="Frames a second of playback.")] = None


class VideoRequest(BaseModel):
    """A request with nothing left open: the same one gives the same video, on the same kind of device.

    ``model_dump(mode="json")`` is the job's spec, ``model_validate`` restores it. Sizes are in pixels;
    ``boundary`` is the fraction of the schedule where the experts change over, None for one transformer.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    task: str
    prompt: str
    negative_prompt: str
    width: int
    height: int
    frame_num: int
    fps: int
    sample_steps: int
    sample_guide_scale: Guidance
    sample_shift: float
    boundary: float | None
    base_seed: int


def resolve(
    body: TextToVideo, spec: ModelSpec, *, tiny: bool, seed: Callable[[], int] = random_seed
) -> VideoRequest:
    """Hold a request against its model and fill in what it leaves open.

    Args:
        body: what the client sent.
        spec: the catalog's entry for ``body.task``.
        tiny: whether the installed model is a tiny one, which also takes small sizes.
        seed: draws a seed from 0 to ``MAX_SEED``, called only where the client names none.

    Raises:
        InvalidRequestError: the model does not do this; the field at fault is named.
    """
    if Kind.TEXT_TO_VIDEO not in spec.accepts:
        raise InvalidRequestError("task", f"{spec.id} does not make video from text alone.")
    size = _size(body.size, accepted_sizes(spec, tiny=tiny))
    return VideoRequest(
        task=spec.id,
        prompt=body.prompt,
        negative_prompt=spec.negative_prompt if body.negative_prompt is None else body.negative_prompt,
        width=size.width,
        height=size.height,
        frame_num=_frames(body.frame_num, spec.frames),
        fps=body.fps or spec.fps,
        sample_steps=body.sample_steps or spec.steps,
        sample_guide_scale=_guidance(body.sample_guide_scale, spec),
        sample_shift=body.sample_shift or spec.shift,
        boundary=spec.boundary,
        base_seed=seed() if body.base_seed in (None, RANDOM_SEED) else body.base_seed,
    )


def _size(text: str | None, accepted: tuple[Size, ...]) -> Size:
    if text is None:
        return accepted[0]
    names = ", ".join(map(str, accepted))
    try:
        size = Size.parse(text)
    except ValueError as error:
        raise InvalidRequestError("size", f"{error} Accepted here: {names}.") from None
    if size not in accepted:
        raise InvalidRequestError("size", f"{size} is not offered. Accepted here: {names}.")
    return size


def _guidance(pair: tuple[float, float] | None, spec: ModelSpec) -> Guidance:
    guidance = Guidance(*(pair or spec.guidance))
    if spec.boundary is None and guidance.low != guidance.high:
        raise InvalidRequestError(
            "sample_guide_scale", f"{spec.id} has no pair of experts; send a single number."
        )
    return guidance


def _frames(frames: int | None, rule: FrameRule) -> int:
    if frames is None:
        return rule.default
    if not rule.allows(frames):
        nearest = " and ".join(map(str, rule.nearest(frames)))
        raise InvalidRequestError(
            "frame_num",
            f"{frames} is not {rule.step}n+{rule.offset} between {rule.minimum} and {rule.maximum}. "
            f"Nearest valid: {nearest}.",
        )
    return frames
