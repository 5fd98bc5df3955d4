"""Pictures as inputs: read upright, fitted without distortion, and refused with a sentence."""

from pathlib import Path

import pytest
import torch
from PIL import Image

from tests.integration.ways import WAYS, gradient
from wan_models.catalog import Size
from wan_models.errors import UnusableInputError
from wan_models.pipeline import Run
from wan_models.pipelines.picture import cover, open_picture

WITH_IMAGE = [pytest.param(way, id=name) for name, way in WAYS.items() if "image" in way.inputs]


def run_with(**inputs: Path) -> Run:
    return Run(on_step=lambda _step, _steps: None, inputs=inputs)


@pytest.mark.parametrize("kind", ["png", "jpeg", "webp"])
def test_a_picture_of_any_kind_is_read_as_it_was_written(tmp_path, kind):
    Image.new("RGB", (8, 4), (200, 100, 50)).save(tmp_path / "image", kind, quality=100)
    picture = open_picture({"image": tmp_path / "image"}, "image")
    assert (picture.mode, picture.size) == ("RGB", (8, 4))
    pixel = picture.getpixel((4, 2))
    assert isinstance(pixel, tuple)
    assert all(abs(a - b) <= 3 for a, b in zip(pixel, (200, 100, 50), strict=True))


def test_a_picture_is_turned_upright(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned a quarter clockwise
    Image.new("RGB", (8, 4)).save(tmp_path / "image.jpg", exif=exif)
    assert open_picture({"image": tmp_path / "image.jpg"}, "image").size == (4, 8)


def test_what_is_transparent_becomes_white(tmp_path):
    Image.new("RGBA", (2, 2), (0, 0, 0, 0)).save(tmp_path / "image.png")
    assert open_picture({"image": tmp_path / "image.png"}, "image").getpixel((0, 0)) == (255, 255, 255)


@pytest.mark.parametrize("mode", ["L", "P", "LA", "I;16", "1", "CMYK"])
def test_every_mode_becomes_rgb(tmp_path, mode):
    Image.new(mode, (4, 4)).save(tmp_path / "image.tiff" if mode == "CMYK" else tmp_path / "image.png")
    file = next(tmp_path.iterdir())
    assert open_picture({"image": file}, "image").mode == "RGB"


def test_a_picture_covers_the_frame_and_loses_the_same_on_both_sides():
    halves = Image.new("RGB", (300, 100), "red")
    halves.paste("blue", (150, 0, 300, 100))
    covered = cover(halves, Size(100, 100))
    assert covered.size == (100, 100)
    assert [covered.getpixel((x, 50)) for x in (10, 90)] == [(255, 0, 0), (0, 0, 255)]
    assert cover(gradient(64, 64), Size(64, 64)).tobytes() == gradient(64, 64).tobytes()


@pytest.mark.parametrize("content", [b"", b"no picture", b"\x89PNG\r\n\x1a\n" + b"\0" * 64])
def test_what_is_no_picture_is_refused_by_name(tmp_path, content):
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(UnusableInputError, match="last_image: it cannot be read as a picture"):
        open_picture({"last_image": tmp_path / "x"}, "last_image")


def test_a_picture_that_is_cut_off_is_refused(tmp_path):
    gradient(64, 64).save(tmp_path / "whole.png")
    (tmp_path / "half.png").write_bytes((tmp_path / "whole.png").read_bytes()[:200])
    with pytest.raises(UnusableInputError):
        open_picture({"image": tmp_path / "half.png"}, "image")


def test_a_picture_of_too_many_pixels_is_refused(tmp_path, monkeypatch):
    gradient(64, 64).save(tmp_path / "image.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(UnusableInputError, match="cannot be read"):
        open_picture({"image": tmp_path / "image.png"}, "image")


@pytest.mark.parametrize("way", WITH_IMAGE)
def test_another_picture_gives_another_video(warm, media, way, tmp_path):
    Image.new("RGB", (64, 64), "white").save(tmp_path / "white.png")
    for name in {"image", "last_image"} & set(way.inputs):
        inputs = way.run(media).inputs | {name: tmp_path / "white.png"}
        other = warm[way.task].generate(way.request(), run_with(**inputs)).frames
        assert not torch.equal(other, way.frames(warm[way.task], media))


@pytest.mark.parametrize("way", WITH_IMAGE)
def test_a_picture_that_cannot_be_read_leaves_the_model_usable(warm, media, way, tmp_path):
    before = way.frames(warm[way.task], media)
    (tmp_path / "x").write_bytes(b"no picture")
    with pytest.raises(UnusableInputError, match="image:"):
        warm[way.task].generate(way.request(), run_with(**way.run(media).inputs | {"image": tmp_path / "x"}))
    assert torch.equal(way.frames(warm[way.task], media), before)


def test_a_missing_picture_is_named(warm):
    with pytest.raises(UnusableInputError, match="image: this task needs it"):
        warm["i2v-A14B"].generate(WAYS["i2v-A14B"].request(), run_with())


def test_the_5b_model_takes_no_last_picture(warm, media):
    both = WAYS["i2v-A14B to a last frame"].run(media)
    with pytest.raises(UnusableInputError, match="first frame only"):
        warm["ti2v-5B"].generate(WAYS["ti2v-5B with an image"].request(), both)
