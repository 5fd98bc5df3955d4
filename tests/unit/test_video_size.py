"""What size a video made from a picture has, held to numbers of Wan's own code."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wan_models.catalog import CATALOG, TINY_SIZES, Size
from wan_models.video_size import MAX_ASPECT, video_size

WITH_PICTURE = ("i2v-A14B", "ti2v-5B", "animate-14B")
sides = st.integers(64, 5000)


# Computed with ``wan/image2video.py``, ``wan/speech2video.py`` and ``best_output_size`` of ``wan/utils``.
@pytest.mark.parametrize(
    ("task", "area", "picture", "expected"),
    [
        ("i2v-A14B", "1280*720", "1280*720", "1280*720"),
        ("i2v-A14B", "1280*720", "720*1280", "720*1280"),
        ("i2v-A14B", "720*1280", "4000*3000", "1104*816"),
        ("i2v-A14B", "832*480", "1000*1000", "624*624"),
        ("ti2v-5B", "1280*704", "1280*704", "1280*704"),
        ("ti2v-5B", "704*1280", "1920*1080", "1248*704"),
        ("ti2v-5B", "1280*704", "512*512", "960*928"),
        ("ti2v-5B", "1280*704", "3000*4000", "800*1088"),
        ("s2v-14B", "832*480", "832*480", "832*448"),
        ("s2v-14B", "480*832", "667*1000", "512*768"),
        ("s2v-14B", "1280*720", "3840*2160", "1280*704"),
        ("s2v-14B", "1024*704", "64*64", "64*64"),
    ],
)
def test_the_size_is_that_of_the_official_code(task, area, picture, expected):
    assert str(video_size(CATALOG[task], Size.parse(area), Size.parse(picture))) == expected


def test_a_picture_of_the_very_size_is_kept_where_floating_point_would_lose_a_row():
    spec = CATALOG["i2v-A14B"]
    assert all(video_size(spec, size, size) == size for size in spec.sizes)


def test_an_animation_has_the_size_of_its_pose_video():
    assert video_size(CATALOG["animate-14B"], Size(1280, 720), Size(832, 480)) == (832, 480)


def test_an_animation_larger_than_asked_for_is_made_smaller():
    assert video_size(CATALOG["animate-14B"], Size(1280, 720), Size(1920, 1080)) == (1280, 720)


@pytest.mark.parametrize("task", WITH_PICTURE)
@given(width=sides, height=sides, data=st.data())
def test_every_size_keeps_to_the_area_and_to_multiples(task, width, height, data):
    spec = CATALOG[task]
    area = data.draw(st.sampled_from(spec.sizes + TINY_SIZES))
    try:
        size = video_size(spec, area, Size(width, height))
    except ValueError:
        return
    assert size.width * size.height <= area.width * area.height
    assert all(side > 0 and side % spec.size_multiple == 0 for side in size)


@pytest.mark.parametrize("task", WITH_PICTURE)
def test_a_picture_that_is_too_narrow_is_refused(task):
    with pytest.raises(ValueError, match="too narrow"):
        video_size(CATALOG[task], Size(1280, 720), Size(100, 100 * MAX_ASPECT + 1))


def test_a_picture_too_narrow_for_a_small_size_is_refused():
    with pytest.raises(ValueError, match="too small or too narrow"):
        video_size(CATALOG["ti2v-5B"], Size(64, 64), Size(800, 100))
