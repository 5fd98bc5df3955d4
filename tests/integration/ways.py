"""The ways to use each pipeline: small requests, and small files to go with them."""

import wave
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from PIL import Image

from wan_models.bodies import (
    Animation,
    ImageToVideo,
    SpeechToVideo,
    TextImageToVideo,
    TextToVideo,
    VideoBody,
)
from wan_models.catalog import CATALOG
from wan_models.pipeline import OnStep, Pipeline, Run
from wan_models.pipelines.video import encode_mp4
from wan_models.request import VideoRequest, resolve

SMALL: Mapping[str, Any] = MappingProxyType(
    {"prompt": "a cat", "size": "64*64", "frame_num": 5, "sample_steps": 3, "base_seed": 42}
)


@dataclass(frozen=True)
class Way:
    """One way to use a task: the body of its requests, and the inputs that come with them.

    ``segments`` is how often it goes through all steps in the small request.
    """

    task: str
    body: type[VideoBody]
    fields: Mapping[str, Any] = field(default_factory=dict)
    inputs: tuple[str, ...] = ()
    segments: int = 1

    def request(self, **fields: Any) -> VideoRequest:
        """A small request: 64*64, 5 frames, 3 steps, unless it says otherwise."""
        body = self.body.model_validate({"task": self.task, **SMALL, **self.fields, **fields})
        return resolve(body, CATALOG[self.task], tiny=True)

    def run(self, media: Path, on_step: OnStep = lambda _step, _steps: None) -> Run:
        """A run with this way's inputs."""
        return Run(on_step=on_step, inputs={name: media / MEDIA[name] for name in self.inputs})

    def frames(self, pipeline: Pipeline, media: Path, **fields: Any) -> torch.Tensor:
        """The frames of one video."""
        frames = pipeline.generate(self.request(**fields), self.run(media)).frames
        assert isinstance(frames, torch.Tensor)
        return frames


_IMAGE = {"image_path": "asset://1"}
_FOLDER = {"src_root_path": "asset://1"}
WAYS: Mapping[str, Way] = MappingProxyType(
    {
        "t2v-A14B": Way("t2v-A14B", TextToVideo),
        "i2v-A14B": Way("i2v-A14B", ImageToVideo, _IMAGE, ("image",)),
        "i2v-A14B to a last frame": Way(
            "i2v-A14B",
            ImageToVideo,
            {**_IMAGE, "last_image_path": "asset://2"},
            ("image", "last_image"),
        ),
        "ti2v-5B": Way("ti2v-5B", TextToVideo),
        "ti2v-5B with an image": Way("ti2v-5B", TextImageToVideo, _IMAGE, ("image",)),
        "s2v-14B": Way("s2v-14B", SpeechToVideo, {**_IMAGE, "audio_path": "asset://3"}, ("image", "audio")),
        "animate-14B": Way("animate-14B", Animation, _FOLDER, ("pose", "face", "ref"), segments=2),
        "animate-14B to replace": Way(
            "animate-14B",
            Animation,
            {**_FOLDER, "replace_flag": True},
            ("pose", "face", "ref", "bg", "mask"),
            segments=2,
        ),
    }
)
MEDIA: Mapping[str, str] = MappingProxyType(
    {
        "image": "image.png",
        "last_image": "last.png",
        "ref": "image.png",
        "pose": "pose.mp4",
        "face": "face.mp4",
        "bg": "bg.mp4",
        "mask": "mask.mp4",
        "audio": "speech.wav",
    }
)
POSE_FRAMES = 9


def build_media(folder: Path) -> None:
    """Write the small files that the ways name."""
    gradient(160, 120).save(folder / MEDIA["image"])
    gradient(64, 64).rotate(90).save(folder / MEDIA["last_image"])
    write_sound(folder / MEDIA["audio"], seconds=1)
    for turn, name in enumerate(("pose", "face", "bg", "mask")):
        write_video(folder / MEDIA[name], rolling(POSE_FRAMES, turn))


def rolling(count: int, turn: int = 0) -> torch.Tensor:
    """Frames of a picture that rolls by, [count, 64, 64, 3] in bytes; another picture for each turn."""
    first = torch.from_numpy(np.array(gradient(64, 64).rotate(90 * turn)))
    return torch.stack([first.roll(7 * index, dims=1) for index in range(count)])


def write_video(path: Path, frames: torch.Tensor, fps: int = 30) -> Path:
    """Write frames as MP4."""
    encode_mp4(frames, path, fps)
    return path


def gradient(width: int, height: int) -> Image.Image:
    """A picture that is different everywhere."""
    red, green = Image.linear_gradient("L").resize((width, height)), Image.radial_gradient("L")
    blue = red.transpose(Image.Transpose.FLIP_TOP_BOTTOM)
    return Image.merge("RGB", (red, green.resize((width, height)), blue))


def write_sound(path: Path, seconds: float, rate: int = 22_050) -> None:
    """Write a tone that rises, in 16-bit stereo."""
    time = torch.arange(round(seconds * rate)) / rate
    tone = (torch.sin(2 * torch.pi * (200 + 200 * time) * time) * 10_000).to(torch.int16)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(torch.stack([tone, tone], dim=1).numpy().tobytes())
