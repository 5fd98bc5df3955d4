"""Holding a request against its input files: what they must have in common, and what follows from them."""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil

from wan_models.catalog import MAX_ANIMATION_FRAMES, Kind, ModelSpec, Size
from wan_models.errors import InvalidRequestError
from wan_models.media import MIN_AUDIO_SECONDS, Media
from wan_models.request import VideoRequest
from wan_models.video_size import video_size

_FOLDER = "src_root_path"


def fit(request: VideoRequest, spec: ModelSpec, media: Mapping[str, Media]) -> VideoRequest:
    """Fit a request to its inputs: the size to the picture's shape, the length to the speech.

    Args:
        request: what ``resolve`` made; its width and height name an area.
        spec: the task's entry in the catalog.
        media: what is known of each input file, by its name.

    Raises:
        InvalidRequestError: the inputs do not do for this task; the field that named them is named.
    """
    for name, field in (("audio", "audio_path"), ("tts_prompt", "tts_prompt_audio")):
        if name in media:
            _check_sound(media[name], field, spec)
    if spec.kind is Kind.ANIMATION:
        _check_animation(media, request)
    shaped = _shape(request, spec, media)
    if "audio" in media:
        frames = min(shaped.frame_num, _frames_of(media["audio"], spec, request.fps))
        return shaped.model_copy(update={"frame_num": frames})
    return shaped


def _shape(request: VideoRequest, spec: ModelSpec, media: Mapping[str, Media]) -> VideoRequest:
    """The picture gives the shape; without one, the size is what was asked for."""
    name, field = ("pose", _FOLDER) if spec.kind is Kind.ANIMATION else ("image", "image_path")
    if name not in media:
        return request
    try:
        size = video_size(spec, Size(request.width, request.height), Size(*media[name].size))
    except ValueError as error:
        raise InvalidRequestError(field, str(error)) from None
    return request.model_copy(update={"width": size.width, "height": size.height})


def _check_sound(sound: Media, field: str, spec: ModelSpec) -> None:
    seconds, most = sound.seconds or 0.0, ceil(spec.frames.maximum / spec.fps)
    if seconds < MIN_AUDIO_SECONDS:
        raise InvalidRequestError(field, f"{seconds:.2f} s are too short; {MIN_AUDIO_SECONDS} s are needed.")
    if seconds > most:
        raise InvalidRequestError(field, f"{seconds:.1f} s are too long; {spec.id} takes up to {most} s.")


def _frames_of(sound: Media, spec: ModelSpec, fps: int) -> int:
    """The smallest count of frames that the model can make and that lasts as long as the sound."""
    rule = spec.frames
    frames = max(ceil((sound.seconds or 0.0) * fps), rule.minimum)
    return frames + (rule.offset - frames) % rule.step


def _check_animation(media: Mapping[str, Media], request: VideoRequest) -> None:
    needed = ("pose", "face", "ref", "bg", "mask") if request.replace_flag else ("pose", "face", "ref")
    missing = [f"src_{name}.{'png' if name == 'ref' else 'mp4'}" for name in needed if name not in media]
    if missing:
        raise InvalidRequestError(_FOLDER, f"It lacks {' and '.join(missing)}.")
    frames = media["pose"].frames or 0
    least = (request.refert_num or 1) + 1  # beyond what the first segment leaves to the next
    if not least <= frames <= MAX_ANIMATION_FRAMES:
        raise InvalidRequestError(
            _FOLDER,
            f"src_pose.mp4 has {frames} frame{'s' * (frames != 1)}; "
            f"{least} to {MAX_ANIMATION_FRAMES} are needed.",
        )
    for name in set(needed) - {"pose", "ref"}:
        _check_companion(name, media[name], media["pose"])


def _check_companion(name: str, video: Media, pose: Media) -> None:
    """Every video runs beside the poses, frame by frame; the background and its mask also pixel by pixel."""
    if video.frames != pose.frames:
        raise InvalidRequestError(
            _FOLDER, f"src_{name}.mp4 has {video.frames} frames, but src_pose.mp4 has {pose.frames}."
        )
    if name != "face" and video.size != pose.size:
        raise InvalidRequestError(
            _FOLDER, f"src_{name}.mp4 is {Size(*video.size)}, but src_pose.mp4 is {Size(*pose.size)}."
        )
