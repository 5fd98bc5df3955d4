"""The catalog: five tasks, and data that agrees with itself."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wan_models.catalog import (
    CATALOG,
    TINY_SIZES,
    TINY_TASKS,
    FrameRule,
    Guidance,
    Kind,
    Size,
    accepted_sizes,
)

SPECS = [pytest.param(spec, id=spec.id) for spec in CATALOG.values()]
RULE = FrameRule(default=81, maximum=161)


def test_the_tasks_stand_in_the_order_of_the_guide():
    assert list(CATALOG) == ["t2v-A14B", "i2v-A14B", "ti2v-5B", "s2v-14B", "animate-14B"]
    assert [spec.id for spec in CATALOG.values()] == list(CATALOG)


def test_the_catalog_cannot_be_changed():
    with pytest.raises(TypeError):
        CATALOG["t2v-A14B"] = CATALOG["ti2v-5B"]  # type: ignore[index] # the point of the test


@pytest.mark.parametrize(
    ("task", "defaults"),
    [
        ("t2v-A14B", (40, 12.0, Guidance(low=3.0, high=4.0), 0.875, 81, 16)),
        ("i2v-A14B", (40, 5.0, Guidance(low=3.5, high=3.5), 0.9, 81, 16)),
        ("ti2v-5B", (50, 5.0, Guidance(low=5.0, high=5.0), None, 121, 24)),
        ("s2v-14B", (40, 3.0, Guidance(low=4.5, high=4.5), None, 77, 16)),
        ("animate-14B", (20, 5.0, Guidance(low=1.0, high=1.0), None, 77, 30)),
    ],
)
def test_the_defaults_are_those_of_the_official_configs(task, defaults):
    spec = CATALOG[task]
    assert (spec.steps, spec.shift, spec.guidance, spec.boundary, spec.frames.default, spec.fps) == defaults


def test_text_to_video_has_the_official_sizes():
    assert list(map(str, CATALOG["t2v-A14B"].sizes)) == ["1280*720", "720*1280", "832*480", "480*832"]
    assert list(map(str, CATALOG["ti2v-5B"].sizes)) == ["1280*704", "704*1280"]


def test_only_speech_has_a_negative_prompt_of_its_own():
    prompts = {task: spec.negative_prompt for task, spec in CATALOG.items()}
    speech = prompts.pop("s2v-14B")
    assert len(set(prompts.values())) == 1
    assert speech not in prompts.values()


@pytest.mark.parametrize("spec", SPECS)
def test_a_task_serves_its_own_kind(spec):
    assert spec.kind in spec.accepts


def test_the_5b_model_also_works_from_text_alone_and_from_an_image():
    assert {Kind.TEXT_TO_VIDEO, Kind.IMAGE_TO_VIDEO} < CATALOG["ti2v-5B"].accepts


@pytest.mark.parametrize("spec", SPECS)
def test_the_frame_rule_allows_its_own_default_and_limits(spec):
    rule = spec.frames
    assert all(rule.allows(frames) for frames in (rule.default, rule.minimum, rule.maximum))


def test_frame_counts_are_4n_plus_1_within_the_limits():
    assert [frames for frames in range(-5, 200) if RULE.allows(frames)] == list(range(5, 162, 4))


@pytest.mark.parametrize("spec", SPECS)
def test_small_sizes_suit_every_task(spec):
    assert all(side % spec.size_multiple == 0 for size in TINY_SIZES for side in size)


def test_sizes_made_from_text_are_multiples_of_what_the_model_packs():
    for spec in CATALOG.values():
        if Kind.TEXT_TO_VIDEO in spec.accepts:
            assert all(side % spec.size_multiple == 0 for size in spec.sizes for side in size), spec.id


def test_only_a_tiny_model_takes_small_sizes():
    spec = CATALOG["t2v-A14B"]
    assert accepted_sizes(spec, tiny=False) == spec.sizes
    assert accepted_sizes(spec, tiny=True) == spec.sizes + TINY_SIZES
    assert Size(128, 64) in TINY_SIZES


@pytest.mark.parametrize("task", TINY_TASKS)
def test_a_task_with_a_tiny_model_has_a_pipeline(task):
    assert CATALOG[task].pipeline


@pytest.mark.parametrize(
    ("frames", "nearest"),
    [
        (16, (13, 17)),
        (18, (17, 21)),
        (160, (157, 161)),
        (3, (5, 9)),
        (1, (5, 9)),
        (-8, (5, 9)),
        (162, (157, 161)),
        (9999, (157, 161)),
    ],
)
def test_an_invalid_frame_count_has_these_nearest_ones(frames, nearest):
    assert RULE.nearest(frames) == nearest


@given(st.integers(-1000, 1000).filter(lambda frames: not RULE.allows(frames)))
def test_nothing_valid_is_nearer_than_the_nearest(frames):
    nearest = RULE.nearest(frames)
    assert all(RULE.allows(candidate) for candidate in nearest)
    distance = min(abs(candidate - frames) for candidate in nearest)
    assert not any(RULE.allows(frames + offset) for offset in range(-distance + 1, distance))


@pytest.mark.parametrize("text", ["1280*720", "1280x720"])
def test_a_size_is_read_with_a_star_or_an_x(text):
    assert Size.parse(text) == (1280, 720)
    assert str(Size.parse(text)) == "1280*720"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1280",
        "1280*",
        "*720",
        "0*720",
        "-1*720",
        "1280*720*3",
        "1280 * 720",
        "1e3*720",
        "١٢٨٠*720",
        "9" * 99 + "*1",
        "1280*720\n",
    ],
)
def test_what_is_no_size_is_refused(text):
    with pytest.raises(ValueError, match=r"width\*height"):
        Size.parse(text)
