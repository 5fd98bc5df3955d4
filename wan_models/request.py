"""A client's request with every default filled in and held against its model.

``resolve`` makes it from one of the bodies in ``wan_models.bodies``. It is stored with the job and handed
to the pipeline. No torch here.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from wan_models.bodies import Animation, ImageToVideo, SpeechToVideo, VideoBody
from wan_models.catalog import CATALOG, FrameRule, Guidance, Kind, ModelSpec, Size, accepted_sizes
from wan_models.errors import InvalidRequestError
from wan_models.fields import RANDOM_SEED
from wan_models.loras import NO_LORAS, LoraCatalog, LoraChoice, LoraUse, choose_loras, loras_for
from wan_models.presets import LIGHTNING, Defaults, defaults_of

_CLIP_FRAMES = 80
_DROPPED_FRAMES = 3  # the first clip of a speech begins with frames that are not shown
_REFERT_WARNING = (
    "refert_num 77 was taken as 1: a segment takes over 1 or 5 frames from the one before, and no more."
)
_VOICELESS_WARNING = (
    "tts_prompt_text was left aside: it tells what is said in tts_prompt_audio, and that was not sent."
)
_PLAIN_PROMPT_WARNING = "The prompt is as it was: no language model elaborated it in time."


def random_seed() -> int:
    """Draw a seed, 32 bits wide, that the operating system vouches for."""
    return secrets.randbelow(2**32)


class VideoRequest(BaseModel):
    """A request with nothing left open: the same one gives the same video, on the same kind of device.

    ``model_dump(mode="json")`` is the job's spec, ``model_validate`` restores it. Sizes are in pixels;
    ``boundary`` is the fraction of the schedule where the experts change over, None for one transformer.
    ``inputs`` holds the key of each input file in the artifact store, by its name: ``image``,
    ``last_image``, ``audio``, ``tts_prompt``, ``pose``, ``face``, ``ref``, ``bg``, ``mask``. What
    stands below it belongs to one task or the other, and is None where the task has no such thing.
    ``remixed_from`` is the job whose video this one is made of, ``batch`` the batch that it was asked for in.
    ``original_prompt`` is what the prompt was elaborated from, None where it was not.
    ``warnings`` are sentences for the client about what was taken otherwise than it was written.

    For speech, ``frame_num`` is the most there may be: the video ends with the speech. For an animation
    it is the length of a segment, and the pose video says how many frames there are.
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
    inputs: Mapping[str, str] = {}
    tts_text: str | None = None
    tts_prompt_text: str | None = None
    infer_frames: int | None = None
    start_from_ref: bool | None = None
    replace_flag: bool | None = None
    refert_num: Literal[1, 5] | None = None
    loras: tuple[LoraUse, ...] = ()
    remixed_from: str | None = None
    batch: str | None = None
    original_prompt: str | None = None
    warnings: tuple[str, ...] = ()
    preview: bool = False


def resolve(
    body: VideoBody,
    spec: ModelSpec,
    *,
    tiny: bool,
    loras: LoraCatalog = NO_LORAS,
    seed: Callable[[], int] = random_seed,
) -> VideoRequest:
    """Hold a request against its model and fill in what it leaves open.

    Args:
        body: what the client sent.
        spec: the catalog's entry for ``body.task``.
        tiny: whether the installed model is a tiny one, which also takes small sizes.
        loras: the adapters of this server.
        seed: draws a seed from 0 to ``MAX_SEED``, called only where the client names none.

    Raises:
        InvalidRequestError: the model does not do this; the field at fault is named.
    """
    _check_kind(body, spec)
    used = _loras(body, loras_for(spec.id, loras))
    defaults = defaults_of(spec, body.preset, (loras[use.name] for use in used))
    size = _size(body.size, accepted_sizes(spec, tiny=tiny)) if body.size is not None else defaults.size
    return VideoRequest(
        task=spec.id,
        prompt=body.prompt,
        negative_prompt=spec.negative_prompt if body.negative_prompt is None else body.negative_prompt,
        width=size.width,
        height=size.height,
        frame_num=_frame_num(body, spec.frames, defaults),
        fps=body.fps or spec.fps,
        sample_steps=body.sample_steps or defaults.steps,
        sample_guide_scale=_guidance(body.sample_guide_scale, spec) or defaults.guidance,
        sample_shift=body.sample_shift or defaults.shift,
        boundary=_boundary(body, spec),
        base_seed=seed() if body.base_seed in (None, RANDOM_SEED) else body.base_seed,
        loras=used,
        preview=bool(body.preview),
        original_prompt=body.original_prompt,
        warnings=_warnings(body),
        **_of_one_task(body),
    )


def _check_kind(body: VideoBody, spec: ModelSpec) -> None:
    if body.kind not in spec.accepts:
        able = ", ".join(other.id for other in CATALOG.values() if body.kind in other.accepts)
        wanted = "from text alone" if body.kind is Kind.TEXT_TO_VIDEO else f"by {body.kind}"
        raise InvalidRequestError("task", f"{spec.id} does not make video {wanted}. Models that do: {able}.")
    if isinstance(body, ImageToVideo) and body.last_image_path and spec.kind is not Kind.IMAGE_TO_VIDEO:
        raise InvalidRequestError("last_image_path", f"{spec.id} takes a first frame only.")


def _warnings(body: VideoBody) -> tuple[str, ...]:
    refert = isinstance(body, Animation) and body.refert_num not in (1, 5)
    voiceless = isinstance(body, SpeechToVideo) and bool(body.tts_prompt_text) and not body.tts_prompt_audio
    plain = bool(body.enhance_prompt) and body.original_prompt is None
    return (_REFERT_WARNING,) * refert + (_VOICELESS_WARNING,) * voiceless + (_PLAIN_PROMPT_WARNING,) * plain


def _of_one_task(body: VideoBody) -> dict[str, Any]:
    match body:
        case SpeechToVideo():
            return {
                "tts_text": body.tts_text if body.enable_tts else None,
                "tts_prompt_text": body.tts_prompt_text,
                "infer_frames": body.infer_frames or _CLIP_FRAMES,
                "start_from_ref": body.start_from_ref,
            }
        case Animation():
            return {
                "replace_flag": body.replace_flag,
                "refert_num": 5 if body.refert_num == 5 else 1,  # noqa: PLR2004 - one of the two there are
            }
    return {}


def _loras(body: VideoBody, offered: LoraCatalog) -> tuple[LoraUse, ...]:
    choices = body.loras or ()
    if body.preset == LIGHTNING and LIGHTNING not in {choice.name for choice in choices}:
        if LIGHTNING not in offered:
            raise InvalidRequestError(
                "preset", f"{body.task} needs an adapter for it, which is not installed."
            )
        choices = (*choices, LoraChoice(name=LIGHTNING))
    return choose_loras(choices, offered)


def _size(text: str, accepted: tuple[Size, ...]) -> Size:
    names = ", ".join(map(str, accepted))
    try:
        size = Size.parse(text)
    except ValueError as error:
        raise InvalidRequestError("size", f"{error} Accepted here: {names}.") from None
    if size not in accepted:
        raise InvalidRequestError("size", f"{size} is not offered. Accepted here: {names}.")
    return size


def _guidance(pair: tuple[float, float] | None, spec: ModelSpec) -> Guidance | None:
    if pair is None:
        return None
    guidance = Guidance(*pair)
    if spec.boundary is None and guidance.low != guidance.high:
        raise InvalidRequestError(
            "sample_guide_scale", f"{spec.id} has no pair of experts; send a single number."
        )
    return guidance


def _boundary(body: VideoBody, spec: ModelSpec) -> float | None:
    if body.boundary is not None and spec.boundary is None:
        raise InvalidRequestError("boundary", f"{spec.id} has no pair of experts to change over.")
    return body.boundary or spec.boundary


def _frame_num(body: VideoBody, rule: FrameRule, defaults: Defaults) -> int:
    if body.frame_num is not None:
        # A segment must be longer than twice what it takes over, or segments follow one another for ever.
        takes_over_5 = isinstance(body, Animation) and body.refert_num == 5  # noqa: PLR2004 - 1 or 5
        return _check_frames(body.frame_num, replace(rule, minimum=13) if takes_over_5 else rule)
    if not isinstance(body, SpeechToVideo):
        return defaults.frames
    if body.num_clip is None:
        return rule.maximum  # as long as the speech
    frames = body.num_clip * (body.infer_frames or _CLIP_FRAMES) - _DROPPED_FRAMES
    return min(max(frames, rule.minimum), rule.maximum)


def _check_frames(frames: int, rule: FrameRule) -> int:
    if not rule.allows(frames):
        nearest = " and ".join(map(str, rule.nearest(frames)))
        raise InvalidRequestError(
            "frame_num",
            f"{frames} is not {rule.step}n+{rule.offset} between {rule.minimum} and {rule.maximum}. "
            f"Nearest valid: {nearest}.",
        )
    return frames
