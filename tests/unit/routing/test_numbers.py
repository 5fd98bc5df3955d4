"""Numbers that a query names."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routing.numbers import frame_num, nearest_size, read_numbers
from wan_models.catalog import CATALOG

T2V, TI2V = CATALOG["t2v-A14B"], CATALOG["ti2v-5B"]


@pytest.mark.parametrize(
    ("query", "seconds"),
    [
        ("a cat, 5s", 5),
        ("a 5 second clip", 5),
        ("a 10-second video", 10),
        ("2.5 seconds of rain", 2.5),
        ("2,5 Sekunden Regen", 2.5),
        ("a ten second clip", 10),
        ("half a minute of fire", 30),
        ("one minute of waves", 60),
        ("un vídeo de 8 segundos", 8),
        ("une vidéo de 8 secondes", 8),
        ("видео на 5 секунд", 5),
        ("五秒钟的视频", 5),
        ("5秒の動画", 5),
        ("5초짜리 영상", 5),
        ("5 सेकंड का वीडियो", 5),
        ("पाँच सेकंड की क्लिप", 5),
        ("生成一个五秒的短片", 5),
        ("十五秒の動画", 15),
        ("半分钟的视频", 30),
        ("ein zehnsekündiges Video", 10),
        ("eine halbe Minute Regen", 30),
        ("medio minuto de olas", 30),
        ("десятисекундный ролик", 10),
        ("полминуты снега", 30),
        ("a cat", None),
        ("she smiles after 3 seconds", None),
        ("the first 10 seconds of the film", None),
        ("a 1980s car", None),
        ("a s-shaped river", None),
        ("at 12:30 s", None),
    ],
)
def test_seconds(query, seconds):
    assert read_numbers(query).seconds == seconds


@pytest.mark.parametrize(
    ("query", "aspect", "lines"),
    [
        ("a vertical video", 9 / 16, None),
        ("9:16 please", 9 / 16, None),
        ("a reel of a cat", 9 / 16, None),
        ("portrait mode", 9 / 16, None),
        ("for Stories", 9 / 16, None),
        ("an old sailor tells a story", None, None),
        ("a man in shorts", None, None),
        ("抖音用", 9 / 16, None),
        ("a portrait of a woman", None, None),
        ("widescreen", 16 / 9, None),
        ("a square clip", 1, None),
        ("times square at night", None, None),
        ("竖屏视频", 9 / 16, None),
        ("4K", None, 2160),
        ("in 480p", None, 480),
        ("1080p", None, 2160),
        ("1280x720", 1280 / 720, 720),
        ("480*832", 480 / 832, 480),
        ("a cat", None, None),
    ],
)
def test_shapes_and_lines(query, aspect, lines):
    found = read_numbers(query)
    assert (found.aspect, found.lines) == (aspect, lines)


@pytest.mark.parametrize(
    ("query", "seed"),
    [
        ("seed 42", 42),
        ("seed: 42", 42),
        ("seed=42", 42),
        ("base_seed 7", 7),
        ("种子42", 42),
        ("a seed grows", None),
        ("seed 99999999999999999", None),
    ],
)
def test_seeds(query, seed):
    assert read_numbers(query).seed == seed


@pytest.mark.parametrize(
    ("query", "fps", "frames"),
    [
        ("24 fps", 24, None),
        ("at 30 frames per second", 30, None),
        ("81 frames", None, 81),
        ("81 frames at 24fps", 24, 81),
        ("999 fps", None, None),
    ],
)
def test_frame_rates_and_counts(query, fps, frames):
    found = read_numbers(query)
    assert (found.fps, found.frames) == (fps, frames)


@pytest.mark.parametrize(
    ("query", "spec", "most", "frames"),
    [
        ("5 seconds", T2V, None, 81),
        ("5 seconds", TI2V, None, 121),
        ("1 second", T2V, None, 17),
        ("10 seconds", T2V, None, 161),
        ("an hour? no, 60 seconds", T2V, None, 161),
        ("10 seconds", T2V, 10, 157),
        ("a cat", T2V, 10, None),
        ("a cat", T2V, 2, 29),
        ("a cat", T2V, 0.01, 5),
        ("80 frames", T2V, None, 81),
    ],
)
def test_frame_counts_are_the_nearest_that_the_model_makes(query, spec, most, frames):
    assert frame_num(read_numbers(query), spec.frames, spec.fps, most) == frames


@given(st.floats(0.1, 500), st.floats(0.5, 100), st.sampled_from(sorted(CATALOG)))
def test_any_length_becomes_a_valid_count_within_the_limit(seconds, most, task):
    spec = CATALOG[task]
    frames = frame_num(read_numbers(f"{seconds:.1f} seconds"), spec.frames, spec.fps, most)
    count = spec.frames.default if frames is None else frames
    assert spec.frames.allows(count)
    assert count <= max(most * spec.fps, spec.frames.minimum)


@pytest.mark.parametrize(
    ("query", "spec", "size"),
    [
        ("vertical", T2V, "720*1280"),
        ("vertical 480p", T2V, "480*832"),
        ("4K", T2V, "1280*720"),
        ("480p", T2V, "832*480"),
        ("480p", TI2V, "1280*704"),
        ("square", T2V, "1280*720"),
        ("square", CATALOG["s2v-14B"], "1024*704"),
        ("9:16", TI2V, "704*1280"),
    ],
)
def test_sizes_are_the_nearest_that_the_model_makes(query, spec, size):
    assert str(nearest_size(read_numbers(query), spec)) == size
