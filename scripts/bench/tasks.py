"""How long a small video of each task takes on the tiny models: the path's own cost."""

from __future__ import annotations

import io
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any
from zipfile import ZipFile

from scripts import sample_inputs
from scripts.bench.report import Figure
from scripts.bench.workspace import Workspace
from wan_models.bodies import Animation, ImageToVideo, SpeechToVideo, TextToVideo, VideoBody
from wan_models.catalog import CATALOG
from wan_models.pipeline import Run
from wan_models.registry import Registry
from wan_models.request import resolve

ROUNDS = 5
_SMALL: dict[str, Any] = {"prompt": "a cat", "size": "128*64", "frame_num": 17, "sample_steps": 4}
_IMAGE = {"image_path": "asset://1"}
_BODIES: dict[str, VideoBody] = {
    "t2v-A14B": TextToVideo(task="t2v-A14B", **_SMALL),
    "i2v-A14B": ImageToVideo(task="i2v-A14B", **_SMALL, **_IMAGE),
    "ti2v-5B": TextToVideo(task="ti2v-5B", **_SMALL),
    "s2v-14B": SpeechToVideo(task="s2v-14B", **_SMALL, **_IMAGE, audio_path="asset://2"),
    "animate-14B": Animation(task="animate-14B", **_SMALL, src_root_path="asset://1"),
}


def measure(workspace: Workspace) -> Iterator[Figure]:
    """The median of some runs of each task, in one process, with its model warm."""
    registry = Registry(workspace.models)
    files = _files(workspace.directory())
    for task, body in _BODIES.items():
        request = resolve(body, CATALOG[task], tiny=True)
        run = Run(on_step=lambda *_: None, inputs={name: files[name] for name in _INPUTS[task]})
        pipeline = registry.load(task)
        seconds = []
        for _ in range(1 + ROUNDS):
            began = time.perf_counter()
            frames = pipeline.generate(request, run).frames
            seconds.append(time.perf_counter() - began)
        what = f"{task}, tiny: {len(frames)} frames of 128*64, 4 steps"
        yield Figure(what=what, measured=f"{median(seconds[1:]):.2f} s")


_INPUTS = {
    "t2v-A14B": (),
    "i2v-A14B": ("image",),
    "ti2v-5B": (),
    "s2v-14B": ("image", "audio"),
    "animate-14B": ("pose", "face", "ref"),
}


def _files(folder: Path) -> dict[str, Path]:
    """One file for each input."""
    (folder / "image.png").write_bytes(sample_inputs.portrait())
    (folder / "speech.wav").write_bytes(sample_inputs.speech())
    with ZipFile(io.BytesIO(sample_inputs.animation(17))) as packed:
        packed.extractall(folder)
    names = {"image": "image.png", "audio": "speech.wav", "ref": "src_ref.png"}
    videos = {"pose": "src_pose.mp4", "face": "src_face.mp4"}
    return {name: folder / file for name, file in (names | videos).items()}
