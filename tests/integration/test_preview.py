"""Pictures of unfinished videos: what they show, how many there are, and that they change nothing."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from PIL import Image

from tests.integration.ways import WAYS, Way
from wan_models.pipelines.preview import PICTURES, Preview, fit_colors, jpeg, paint, preview_of

CPU = torch.device("cpu")
MIX = torch.tensor([[0.7, 0.2, -0.4], [0.1, -0.9, 0.3], [0.5, 0.5, 0.2], [0.0, 0.1, 0.9]])


class LinearVae:
    """A VAE whose latents are a fixed mixture of the mean colours of 8*8 blocks, shifted and scaled."""

    dtype = torch.float32
    config = SimpleNamespace(latents_mean=[0.5, -1.0, 0.0, 2.0], latents_std=[2.0, 0.5, 1.0, 3.0])

    def encode(self, frame: torch.Tensor) -> Any:
        blocks = torch.nn.functional.avg_pool2d(frame.squeeze(2), 8)
        mean, deviation = (
            torch.tensor(numbers) for numbers in (self.config.latents_mean, self.config.latents_std)
        )
        mixed = torch.einsum("bchw,kc->bkhw", blocks, MIX)
        vectors = mixed * deviation.view(1, -1, 1, 1) + mean.view(1, -1, 1, 1)
        return SimpleNamespace(latent_dist=SimpleNamespace(mode=lambda: vectors.unsqueeze(2)))


def test_the_colours_of_a_vae_that_is_linear_are_found_exactly():
    colors = fit_colors(LinearVae(), CPU)
    wanted = torch.rand(3, 4, 5) * 2 - 1
    latents = torch.einsum("chw,kc->khw", wanted, MIX)[None, :, None]
    assert torch.allclose(paint(latents, colors) / 127.5 - 1, wanted.movedim(0, -1), atol=0.02)


def test_the_middle_frame_is_shown():
    colors = torch.cat([torch.eye(3), torch.zeros(1, 3)])
    latents = torch.stack([torch.full((3, 2, 2), shade) for shade in (-1.0, 0.0, 1.0)], dim=1)[None]
    assert paint(latents, colors).unique().tolist() == [128]


def test_a_picture_is_a_small_jpeg_of_the_videos_shape():
    picture = Image.open(io.BytesIO(jpeg(torch.zeros((45, 80, 3), dtype=torch.uint8))))
    assert (picture.format, picture.size) == ("JPEG", (256, 144))


@pytest.mark.parametrize(("steps", "expected"), [(3, 3), (10, 10), (40, 10), (100, 10)])
def test_there_are_ten_at_most(steps, expected):
    taken: list[int] = []
    preview = Preview(torch.zeros(4, 3), steps, lambda step, _: taken.append(step))
    for step in range(1, steps + 1):
        preview.after_step(step, None, torch.zeros(1, 3, 1, 8, 8))
    assert len(taken) == expected <= PICTURES
    assert taken[-1] == steps


def test_what_the_model_expects_is_shown_rather_than_the_noise_that_is_left():
    shown: list[bytes] = []
    preview = Preview(torch.eye(4, 3), 1, lambda _, picture: shown.append(picture))
    expected = torch.ones(1, 3, 1, 8, 8)
    preview.after_step(1, SimpleNamespace(model_outputs=[None, expected]), -expected)
    assert Image.open(io.BytesIO(shown[0])).getpixel((0, 0)) == (255, 255, 255)


def test_a_vae_that_breaks_costs_the_pictures_alone(caplog):
    class Broken(LinearVae):
        def encode(self, frame: torch.Tensor) -> Any:
            raise RuntimeError("out of memory")

    run = WAYS["t2v-A14B"].run(Path())
    wanting = replace(run, on_preview=lambda _step, _picture: None)
    assert preview_of(SimpleNamespace(vae=Broken()), wanting, 3, CPU) is None
    assert "There will be no pictures" in caplog.text
    assert preview_of(SimpleNamespace(vae=Broken()), run, 3, CPU) is None


@pytest.mark.parametrize("name", WAYS)
def test_every_pipeline_takes_them_and_makes_the_same_video(name, warm, media):
    way: Way = WAYS[name]
    taken: dict[int, bytes] = {}
    pipeline, request = warm[way.task], way.request()
    plain = way.frames(pipeline, media)
    run = replace(way.run(media), on_preview=taken.__setitem__)
    assert torch.equal(pipeline.generate(request, run).frames, plain)
    assert sorted(taken) == list(range(1, 3 * way.segments + 1))
    for picture in taken.values():
        assert Image.open(io.BytesIO(picture)).size == (256, 256)
