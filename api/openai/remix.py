"""New videos out of others: the same with another prompt, or one that goes on where another ends."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from api.inputs.gather import Input
from api.refusals import VideoNotReadyError
from api.stills import still_of
from jobs.artifacts import ArtifactStore
from jobs.state import Job
from wan_models.bodies import ImageToVideo, TextToVideo, VideoBody
from wan_models.catalog import CATALOG, FrameRule, Kind, ModelSpec, Size, accepted_sizes
from wan_models.errors import InvalidRequestError
from wan_models.media import Media, MediaKind
from wan_models.stills import Still, StillError, make_still


@dataclass(frozen=True, slots=True)
class Derived:
    """A request made of a video.

    ``files`` come for fields of the body; ``video`` is what the new video begins with, ``source`` the job
    whose video was taken.
    """

    body: VideoBody
    files: dict[str, Path]
    video: Input | None = None
    source: str | None = None


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
        return Derived(TextToVideo(**fields), {}, source=source.id)
    if Kind.IMAGE_TO_VIDEO not in spec.accepts:
        raise InvalidRequestError("video_id", f"A video of {spec.id} cannot be remixed: its inputs are gone.")
    return _from_picture(fields, _picture(source, Still.FIRST, artifacts, folder), source=source.id)


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
    spec = _spec_of_able((CATALOG[source.queue], *CATALOG.values()), is_offered)
    fps = source.spec["fps"]
    fields = _fields(source, CATALOG[source.queue], tiny) if spec.id == source.queue else {}
    size = _nearest(Size(source.spec["width"], source.spec["height"]), spec, tiny)
    fields |= {"task": spec.id, "prompt": prompt, "size": str(size), "fps": fps}
    if seconds is not None:
        fields["frame_num"] = _frames(seconds, fps, spec.frames)
    picture, video = _picture(source, Still.LAST, artifacts, folder), folder / "video.mp4"
    with artifacts.read((source.result or {})["artifact"]) as stream, video.open("wb") as file:
        file.writelines(stream)
    return _from_picture(fields, picture, Input(video, Media(kind=MediaKind.VIDEO, suffix="mp4")), source.id)


def appended(
    video: Input,
    prompt: str,
    seconds: float | None,
    *,
    is_offered: Callable[[ModelSpec], bool],
    tiny: bool,
    folder: Path,
) -> Derived:
    """The same for a video that the client brings: with the model's own settings, at its own pace.

    Raises:
        InvalidRequestError: no model here goes on from a picture, or not for so long, or the video has none.
    """
    spec = _spec_of_able(CATALOG.values(), is_offered)
    fields: dict[str, Any] = {"task": spec.id, "prompt": prompt}
    fields["size"] = str(_nearest(Size(*video.media.size), spec, tiny))
    if seconds is not None:
        fields["frame_num"] = _frames(seconds, spec.fps, spec.frames)
    picture = folder / "picture.png"
    try:
        make_still(Still.LAST, video.path, picture)
    except StillError as error:
        raise InvalidRequestError("video", str(error)) from None
    return _from_picture(fields, picture, video)


def _from_picture(
    fields: dict[str, Any], picture: Path, video: Input | None = None, source: str | None = None
) -> Derived:
    body = ImageToVideo(**fields, image_path="form:image_path")
    return Derived(body, {"image_path": picture}, video, source)


def _picture(source: Job, still: Still, artifacts: ArtifactStore, folder: Path) -> Path:
    picture = folder / "picture.png"
    picture.write_bytes(still_of(source, still, artifacts))
    return picture


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


def _spec_of_able(specs: Iterable[ModelSpec], is_offered: Callable[[ModelSpec], bool]) -> ModelSpec:
    found = next((spec for spec in specs if Kind.IMAGE_TO_VIDEO in spec.accepts and is_offered(spec)), None)
    if found is None:
        raise InvalidRequestError("video", "No model that goes on from a picture is installed here.")
    return found


def _frames(seconds: float, fps: int, rule: FrameRule) -> int:
    wanted = round(seconds * fps)
    if wanted > rule.maximum:
        raise InvalidRequestError("seconds", f"The model goes on for up to {rule.maximum / fps:.1f} s.")
    return wanted if rule.allows(wanted) else min(rule.nearest(wanted), key=lambda valid: abs(valid - wanted))
