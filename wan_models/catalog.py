"""The five Wan 2.2 tasks as data: what each accepts, its official defaults, and what it needs.

Sizes, defaults and negative prompts are those of ``wan/configs`` in Wan-Video/Wan2.2; parameter
counts and disk needs were taken from the published checkpoints. Nothing here imports torch.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import NamedTuple


class Kind(StrEnum):
    """What a task makes a video from."""

    TEXT_TO_VIDEO = "text-to-video"
    IMAGE_TO_VIDEO = "image-to-video"
    TEXT_IMAGE_TO_VIDEO = "text-image-to-video"
    SPEECH_TO_VIDEO = "speech-to-video"
    ANIMATION = "animation"


class Size(NamedTuple):
    """Width and height of a video in pixels, written ``1280*720``."""

    width: int
    height: int

    def __str__(self) -> str:
        return f"{self.width}*{self.height}"

    @classmethod
    def parse(cls, text: str) -> Size:
        """Read ``1280*720`` or ``1280x720``.

        Raises:
            ValueError: the text is neither.
        """
        match = re.fullmatch(r"([1-9][0-9]{0,4})[*x]([1-9][0-9]{0,4})", text)
        if match is None:
            raise ValueError("A size is written width*height, for example 1280*720.")
        return cls(int(match[1]), int(match[2]))


class Guidance(NamedTuple):
    """Classifier-free guidance scales of the low-noise and the high-noise expert, in Wan's own order."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class FrameRule:
    """Which frame counts a task makes: ``step * n + offset`` within ``minimum`` and ``maximum``.

    The video VAE packs four frames into one latent and keeps the first one alone, hence 4n+1.
    """

    default: int
    maximum: int
    minimum: int = 5
    step: int = 4
    offset: int = 1

    def allows(self, frames: int) -> bool:
        """Whether a video may have so many frames."""
        return self.minimum <= frames <= self.maximum and frames % self.step == self.offset

    def nearest(self, frames: int) -> tuple[int, int]:
        """The two valid counts nearest to an invalid one; outside the range, the two at its end."""
        below = frames - (frames - self.offset) % self.step
        below = min(max(below, self.minimum), self.maximum - self.step)
        return below, below + self.step


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSpec:
    """One task of the catalog.

    ``sizes`` are the official ones; where an image is given they name an area, and the video keeps the
    image's aspect. Both sides of a finished video are multiples of ``size_multiple`` pixels. ``boundary`` is
    the fraction of the noise schedule above which the high-noise expert works, None where there is a
    single transformer. ``parameters_b`` counts the diffusion transformers, in 1e9.
    ``disk_gb`` is the download, ``memory_gb`` the GPU memory that the model's authors ask for, and
    ``working_gb`` what the largest video takes of it beside the weights (the published peaks, less the part
    that works), all in 1e9 bytes. ``expires_in`` is how long a job may wait for its first start, ``timeout``
    how long an attempt may take, unless the operator or a request says otherwise, in seconds: a week, and
    some times what the longest video needs on one GPU. ``repository`` holds the weights in the layout the
    pipeline loads, or in one that the installation converts, and ``pipeline`` is the ``module:Class`` that
    runs them, or None where there is none yet.
    """

    id: str
    kind: Kind
    accepts: frozenset[Kind]
    title: str
    sizes: tuple[Size, ...]
    size_multiple: int
    frames: FrameRule
    fps: int
    steps: int
    shift: float
    guidance: Guidance
    boundary: float | None
    negative_prompt: str
    parameters_b: float
    disk_gb: float
    memory_gb: float
    working_gb: float
    repository: str
    original_repository: str
    expires_in: float = 7 * 24 * 3600
    timeout: float = 4 * 3600
    pipeline: str | None = None


TINY_SIZES = tuple(
    Size(w, h) for w, h in [(64, 64), (128, 64), (64, 128), (128, 128), (256, 128), (128, 256)]
)
"""What a tiny model accepts beside the official sizes: multiples of 64, so legal for every task."""


def accepted_sizes(spec: ModelSpec, *, tiny: bool) -> tuple[Size, ...]:
    """The sizes an installed model takes, official ones first."""
    return spec.sizes + TINY_SIZES if tiny else spec.sizes


_NEGATIVE_PROMPT = (
    "色调艳丽，过曝，静态，细节模糊不清，字幕，风格，作品，画作，画面，静止，整体发灰，最差质量，低质量，"
    "JPEG压缩残留，丑陋的，残缺的，多余的手指，画得不好的手部，画得不好的脸部，畸形的，毁容的，"
    "形态畸形的肢体，手指融合，静止不动的画面，杂乱的背景，三条腿，背景人很多，倒着走"
)
_SPEECH_NEGATIVE_PROMPT = (
    "画面模糊，最差质量，画面模糊，细节模糊不清，情绪激动剧烈，手快速抖动，字幕，丑陋的，残缺的，"
    "多余的手指，画得不好的手部，画得不好的脸部，畸形的，毁容的，形态畸形的肢体，手指融合，"
    "静止不动的画面，杂乱的背景，三条腿，背景人很多，倒着走"
)

_HD = (Size(1280, 720), Size(720, 1280))
_SD = (Size(832, 480), Size(480, 832))
_HD_5B = (Size(1280, 704), Size(704, 1280))
_PIPELINES = "wan_models.pipelines"

_SPECS = (
    ModelSpec(
        id="t2v-A14B",
        kind=Kind.TEXT_TO_VIDEO,
        accepts=frozenset({Kind.TEXT_TO_VIDEO}),
        title="Wan 2.2 text to video, two 14B experts",
        sizes=_HD + _SD,
        size_multiple=16,
        frames=FrameRule(default=81, maximum=161),  # 10 s
        fps=16,
        steps=40,
        shift=12.0,
        guidance=Guidance(low=3.0, high=4.0),
        boundary=0.875,
        negative_prompt=_NEGATIVE_PROMPT,
        parameters_b=28.6,
        disk_gb=126,
        memory_gb=80,
        working_gb=31,
        repository="Wan-AI/Wan2.2-T2V-A14B-Diffusers",
        original_repository="Wan-AI/Wan2.2-T2V-A14B",
        pipeline=f"{_PIPELINES}.text_to_video:TextToVideoPipeline",
    ),
    ModelSpec(
        id="i2v-A14B",
        kind=Kind.IMAGE_TO_VIDEO,
        accepts=frozenset({Kind.IMAGE_TO_VIDEO}),
        title="Wan 2.2 image to video, two 14B experts",
        sizes=_HD + _SD,
        size_multiple=16,
        frames=FrameRule(default=81, maximum=161),  # 10 s
        fps=16,
        steps=40,
        shift=5.0,
        guidance=Guidance(low=3.5, high=3.5),
        boundary=0.9,
        negative_prompt=_NEGATIVE_PROMPT,
        parameters_b=28.6,
        disk_gb=126,
        memory_gb=80,
        working_gb=31,
        repository="Wan-AI/Wan2.2-I2V-A14B-Diffusers",
        original_repository="Wan-AI/Wan2.2-I2V-A14B",
        pipeline=f"{_PIPELINES}.image_to_video:ImageToVideoPipeline",
    ),
    ModelSpec(
        id="ti2v-5B",
        kind=Kind.TEXT_IMAGE_TO_VIDEO,
        accepts=frozenset({Kind.TEXT_TO_VIDEO, Kind.IMAGE_TO_VIDEO, Kind.TEXT_IMAGE_TO_VIDEO}),
        title="Wan 2.2 text, with or without an image, to video, 5B",
        sizes=_HD_5B,
        size_multiple=32,
        frames=FrameRule(default=121, maximum=241),  # 10 s
        fps=24,
        steps=50,
        shift=5.0,
        guidance=Guidance(low=5.0, high=5.0),
        boundary=None,
        negative_prompt=_NEGATIVE_PROMPT,
        parameters_b=5.0,
        disk_gb=34,
        memory_gb=24,
        working_gb=13,
        repository="Wan-AI/Wan2.2-TI2V-5B-Diffusers",
        original_repository="Wan-AI/Wan2.2-TI2V-5B",
        pipeline=f"{_PIPELINES}.text_image_to_video:TextImageToVideoPipeline",
    ),
    ModelSpec(
        id="s2v-14B",
        kind=Kind.SPEECH_TO_VIDEO,
        accepts=frozenset({Kind.SPEECH_TO_VIDEO}),
        title="Wan 2.2 speech and a portrait to video, 14B",
        sizes=(*_HD, *_SD, Size(1024, 704), Size(704, 1024), *_HD_5B),
        size_multiple=64,
        frames=FrameRule(default=77, maximum=957),  # clips of 80, less the 3 that the first one drops; 60 s
        fps=16,
        steps=40,
        shift=3.0,
        guidance=Guidance(low=4.5, high=4.5),
        boundary=None,
        negative_prompt=_SPEECH_NEGATIVE_PROMPT,
        parameters_b=16.3,
        disk_gb=49,
        memory_gb=80,
        working_gb=31,
        timeout=12 * 3600,
        repository="Wan-AI/Wan2.2-S2V-14B",
        original_repository="Wan-AI/Wan2.2-S2V-14B",
        pipeline=f"{_PIPELINES}.speech_to_video:SpeechToVideoPipeline",
    ),
    ModelSpec(
        id="animate-14B",
        kind=Kind.ANIMATION,
        accepts=frozenset({Kind.ANIMATION}),
        title="Wan 2.2 character animation and replacement, 14B",
        sizes=_HD,
        size_multiple=16,
        frames=FrameRule(default=77, maximum=121),  # of a segment; the pose video says how many in all
        fps=30,
        steps=20,
        shift=5.0,
        guidance=Guidance(low=1.0, high=1.0),
        boundary=None,
        negative_prompt=_NEGATIVE_PROMPT,
        parameters_b=17.3,
        disk_gb=82,
        memory_gb=80,
        working_gb=31,
        timeout=12 * 3600,
        repository="Wan-AI/Wan2.2-Animate-14B-Diffusers",
        original_repository="Wan-AI/Wan2.2-Animate-14B",
        pipeline=f"{_PIPELINES}.animation:AnimationPipeline",
    ),
)

CATALOG: Mapping[str, ModelSpec] = MappingProxyType({spec.id: spec for spec in _SPECS})
"""The tasks by id, in the order of the integration guide."""

MAX_ANIMATION_FRAMES = 900
"""The most frames that a pose video may have: 30 s at the 30 frames a second of the model."""

TINY_TASKS = ("t2v-A14B", "i2v-A14B", "ti2v-5B", "s2v-14B", "animate-14B")
"""The tasks that a tiny model can be built for."""
