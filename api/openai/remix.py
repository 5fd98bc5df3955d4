"""New videos out of finished ones: the same with another prompt, or one that goes on where another ends."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from api.refusals import VideoNotReadyError
from api.stills import still_of
from jobs.artifacts import ArtifactStore
from jobs.state import Job
from wan_models.bodies import ImageToVideo, TextToVideo, VideoBody
from wan_models.catalog import CATALOG, FrameRule, Kind, ModelSpec, Size, accepted_sizes
from wan_models.errors import InvalidRequestError
from wan_models.stills import Still


@dataclass(frozen=True, slots=True)
class Derived:
    """A request made of a finished video.

    ``files`` come for fields of the body; ``video`` is what the new video begins with.
    """

    body: VideoBody
    files: dict[str, Path]
    video: Path | None = None


def remixed(source: Job, prompt: str, artifacts: ArtifactStore, *, tiny: bool, folder: Path) -> Derived:
    """The request of a finished video with another prompt: the same settings, length and seed.

    Its inputs went when it ended; the video's own first frame takes the place of the picture it began with.

    Raises:
        VideoNotReadyError: the source has no video.
        InvalidRequestError: videos of its kind cannot be remixed.
    """
    spec = CATALOG[source.queue]
    fields = _fields(source, spec, tiny) | {"prompt": prompt, "frame_num": source.spec["frame_num"]}
    if not source.spec.get("inputs"):
        return Derived(TextToVideo(**fields), {})
    if Kind.IMAGE_TO_VIDEO not in spec.accepts:
        raise InvalidRequestError("video_id", f"A video of {spec.id} cannot be remixed: its inputs are gone.")
    return _from_picture(source, Still.FIRST, fields, artifacts, folder)


def continued(
    source: Job,
    prompt: str,
    seconds: float | None,
    artifacts: ArtifactStore,
    *,
    is_offered: Callable[[ModelSpec], bool],
    tiny: bool,
    folder: Path,
) -> Derived:
    """A request that goes on from the last frame of a finished video; the new video holds both.

    Raises:
        VideoNotReadyError: the source has no video.
        InvalidRequestError: no model here goes on from a picture, or not for so long.
    """
    spec = _spec_for(source, is_offered)
    fps = source.spec["fps"]
    fields = _fields(source, CATALOG[source.queue], tiny) if spec.id == source.queue else {}
    size = _nearest(Size(source.spec["width"], source.spec["height"]), spec, tiny)
    fields |= {"task": spec.id, "prompt": prompt, "size": str(size), "fps": fps}
    if seconds is not None:
        fields["frame_num"] = _frames(seconds, fps, spec.frames)
    derived = _from_picture(source, Still.LAST, fields, artifacts, folder)
    video = folder / "video.mp4"
    with artifacts.read((source.result or {})["artifact"]) as stream, video.open("wb") as file:
        file.writelines(stream)
    return Derived(derived.body, derived.files, video)


def _from_picture(
    source: Job, still: Still, fields: dict[str, Any], artifacts: ArtifactStore, folder: Path
) -> Derived:
    picture = folder / "picture.png"
    picture.write_bytes(still_of(source, still, artifacts))
    return Derived(ImageToVideo(**fields, image_path="form:image_path"), {"image_path": picture})


def _fields(source: Job, spec: ModelSpec, tiny: bool) -> dict[str, Any]:
    if source.result is None:
        raise VideoNotReadyError(source.id, source.state)
    asked = source.spec
    names = ("negative_prompt", "fps", "sample_steps", "sample_shift", "base_seed")
    return {
        "task": spec.id,
        "size": str(_nearest(Size(asked["width"], asked["height"]), spec, tiny)),
        "sample_guide_scale": tuple(asked["sample_guide_scale"]),
        "boundary": asked.get("boundary"),
        **{name: asked[name] for name in names},
    }


def _nearest(made: Size, spec: ModelSpec, tiny: bool) -> Size:
    """The accepted size that a video had before a picture gave it its shape: the one of its area."""
    return min(
        accepted_sizes(spec, tiny=tiny),
        key=lambda size: (size != made, abs(size.width * size.height - made.width * made.height)),
    )


def _spec_for(source: Job, is_offered: Callable[[ModelSpec], bool]) -> ModelSpec:
    own = CATALOG[source.queue]
    able = [spec for spec in (own, *CATALOG.values()) if Kind.IMAGE_TO_VIDEO in spec.accepts]
    found = next((spec for spec in able if is_offered(spec)), None)
    if found is None:
        raise InvalidRequestError("video", "No model that goes on from a picture is installed here.")
    return found


def _frames(seconds: float, fps: int, rule: FrameRule) -> int:
    wanted = round(seconds * fps)
    if wanted > rule.maximum:
        raise InvalidRequestError("seconds", f"The model goes on for up to {rule.maximum / fps:.1f} s.")
    return wanted if rule.allows(wanted) else min(rule.nearest(wanted), key=lambda valid: abs(valid - wanted))
