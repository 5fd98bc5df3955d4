"""Requests: what is refused and how it is named, and what the defaults become."""

import json
import math
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import ValidationError

from wan_models.bodies import TextToVideo
from wan_models.catalog import CATALOG, TINY_SIZES, Guidance, accepted_sizes
from wan_models.errors import InvalidRequestError
from wan_models.fields import MAX_PROMPT_CHARACTERS, MAX_SEED
from wan_models.request import VideoRequest, random_seed, resolve

GUIDE: dict[str, Any] = {
    "task": "t2v-A14B",
    "prompt": "A beautiful sunset over a calm ocean",
    "size": "1280*720",
    "frame_num": 17,
    "sample_steps": 20,
    "sample_guide_scale": 7.5,
    "base_seed": 42,
}


def resolved(*, tiny: bool = True, **fields: Any) -> VideoRequest:
    body = TextToVideo.model_validate({"prompt": "a cat", **fields})
    return resolve(body, CATALOG[body.task], tiny=tiny, seed=lambda: 1234)


def test_the_body_of_the_guide_resolves_to_this():
    spec = CATALOG["t2v-A14B"]
    assert resolved(**GUIDE) == VideoRequest(
        task="t2v-A14B",
        prompt="A beautiful sunset over a calm ocean",
        negative_prompt=spec.negative_prompt,
        width=1280,
        height=720,
        frame_num=17,
        fps=16,
        sample_steps=20,
        sample_guide_scale=Guidance(low=7.5, high=7.5),
        sample_shift=12.0,
        boundary=0.875,
        base_seed=42,
    )


@pytest.mark.parametrize("task", ["t2v-A14B", "ti2v-5B"])
def test_what_is_left_out_takes_the_default_of_the_model(task):
    spec = CATALOG[task]
    request = resolved(task=task)
    assert (request.width, request.height) == spec.sizes[0]
    assert (request.frame_num, request.fps) == (spec.frames.default, spec.fps)
    assert (request.sample_steps, request.sample_shift) == (spec.steps, spec.shift)
    assert (request.sample_guide_scale, request.boundary) == (spec.guidance, spec.boundary)
    assert request.negative_prompt == spec.negative_prompt


def test_the_task_defaults_to_the_large_text_model():
    assert TextToVideo(prompt="a cat").task == "t2v-A14B"


def test_every_field_may_be_null_like_an_absent_one():
    absent: dict[str, Any] = dict.fromkeys(TextToVideo.model_fields.keys() - {"task", "prompt"})
    assert resolved(**absent) == resolved()


def test_a_resolved_request_survives_the_record_as_json():
    request = resolved(**GUIDE)
    assert VideoRequest.model_validate(json.loads(json.dumps(request.model_dump(mode="json")))) == request


def test_a_pair_is_read_as_low_noise_then_high_noise():
    assert resolved(sample_guide_scale=[3, 4.5]).sample_guide_scale == Guidance(low=3.0, high=4.5)


def test_a_pair_is_read_from_json_as_well():
    body = TextToVideo.model_validate_json('{"prompt": "a cat", "sample_guide_scale": [3, 4.5]}')
    assert body.sample_guide_scale == (3.0, 4.5)


@pytest.mark.parametrize("scale", ["7.5", [3], [3, 4, 5], {"low": 3}])
def test_what_is_no_pair_is_told_what_one_is(scale):
    with pytest.raises(ValidationError, match="one number, or a pair"):
        TextToVideo.model_validate({"prompt": "a cat", "sample_guide_scale": scale})


def test_an_uneven_pair_is_refused_where_there_is_one_transformer():
    with pytest.raises(InvalidRequestError, match="single number") as caught:
        resolved(task="ti2v-5B", sample_guide_scale=[3, 4])
    assert caught.value.field == "sample_guide_scale"
    assert resolved(task="ti2v-5B", sample_guide_scale=[4, 4]).sample_guide_scale == (4, 4)


@pytest.mark.parametrize("fields", [{}, {"base_seed": -1}, {"base_seed": None}])
def test_a_seed_is_drawn_where_none_is_given(fields: dict[str, Any]):
    assert resolved(**fields).base_seed == 1234


@pytest.mark.parametrize("seed", [0, 42, MAX_SEED])
def test_a_given_seed_is_kept(seed):
    assert resolved(base_seed=seed).base_seed == seed


def test_drawn_seeds_are_valid_and_differ():
    seeds = {random_seed() for _ in range(100)}
    assert len(seeds) > 90
    assert all(0 <= seed <= MAX_SEED for seed in seeds)


def test_an_empty_negative_prompt_means_none_at_all():
    assert resolved(negative_prompt="").negative_prompt == ""


def test_a_prompt_is_stripped_and_may_have_lines():
    assert resolved(prompt="  a cat\n\tand a dog \n").prompt == "a cat\n\tand a dog"


@pytest.mark.parametrize("task", ["t2v-A14B", "ti2v-5B"])
def test_every_accepted_size_is_accepted(task):
    for size in accepted_sizes(CATALOG[task], tiny=True):
        request = resolved(task=task, size=str(size))
        assert (request.width, request.height) == size


def test_a_real_model_refuses_small_sizes_and_names_its_own():
    with pytest.raises(InvalidRequestError) as caught:
        resolved(tiny=False, size=str(TINY_SIZES[0]))
    assert caught.value.field == "size"
    assert all(str(size) in caught.value.message for size in CATALOG["t2v-A14B"].sizes)
    assert str(TINY_SIZES[1]) not in caught.value.message


@pytest.mark.parametrize("size", ["1280*704", "1281*720", "1280", "cat", "", "16*16"])
def test_a_size_that_is_not_offered_is_refused(size):
    with pytest.raises(InvalidRequestError) as caught:
        resolved(size=size)
    assert caught.value.field == "size"


@pytest.mark.parametrize(
    ("frames", "nearest"),
    [(16, "13 and 17"), (80, "77 and 81"), (165, "157 and 161"), (0, "5 and 9"), (10**9, "157 and 161")],
)
def test_a_frame_count_that_is_not_4n_plus_1_is_refused_with_the_nearest_ones(frames, nearest):
    with pytest.raises(InvalidRequestError, match=f"Nearest valid: {nearest}\\.") as caught:
        resolved(frame_num=frames)
    assert caught.value.field == "frame_num"


@pytest.mark.parametrize("task", ["i2v-A14B", "s2v-14B", "animate-14B"])
def test_a_task_that_needs_more_than_text_is_refused(task):
    with pytest.raises(InvalidRequestError) as caught:
        resolved(task=task)
    assert caught.value.field == "task"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("task", 5),
        ("task", "t" * 65),
        ("prompt", None),
        ("prompt", 5),
        ("prompt", ""),
        ("prompt", " \n\t "),
        ("prompt", "\u200b\u200b"),  # zero width
        ("prompt", "a" * (MAX_PROMPT_CHARACTERS + 1)),
        ("prompt", "a\0b"),
        ("prompt", "a\x1bb"),
        ("prompt", "a\x85b"),
        ("prompt", "\ud800"),
        ("negative_prompt", "a" * (MAX_PROMPT_CHARACTERS + 1)),
        ("negative_prompt", "\0"),
        ("negative_prompt", "\udfff"),
        ("size", 1280),
        ("size", [1280, 720]),
        ("frame_num", "17"),
        ("frame_num", 17.5),
        ("frame_num", True),
        ("frame_num", 10**400),
        ("sample_steps", 0),
        ("sample_steps", 101),
        ("sample_steps", "20"),
        ("sample_guide_scale", "7.5"),
        ("sample_guide_scale", True),
        ("sample_guide_scale", 0.5),
        ("sample_guide_scale", 20.5),
        ("sample_guide_scale", math.nan),
        ("sample_guide_scale", math.inf),
        ("sample_guide_scale", 10**400),
        ("sample_guide_scale", []),
        ("sample_guide_scale", [3]),
        ("sample_guide_scale", [3, 4, 5]),
        ("sample_guide_scale", [3, "4"]),
        ("sample_guide_scale", [3, math.nan]),
        ("sample_guide_scale", {"low": 3}),
        ("sample_shift", 0.5),
        ("sample_shift", 31),
        ("sample_shift", math.nan),
        ("sample_shift", "5"),
        ("base_seed", -2),
        ("base_seed", MAX_SEED + 1),
        ("base_seed", 1.5),
        ("base_seed", "42"),
        ("fps", 0),
        ("fps", 61),
        ("fps", 16.5),
        ("fps", "16"),
        ("prompts", "a cat"),
        ("width", 1280),
    ],
)
def test_a_bad_value_is_refused_by_the_name_of_its_field(field, value):
    with pytest.raises(ValidationError) as caught:
        TextToVideo.model_validate({"prompt": "a cat", field: value})
    assert {error["loc"][0] for error in caught.value.errors()} == {field}


def test_a_prompt_is_required():
    with pytest.raises(ValidationError) as caught:
        TextToVideo.model_validate({})
    assert [error["loc"] for error in caught.value.errors()] == [("prompt",)]


def test_the_longest_prompt_is_accepted():
    assert len(resolved(prompt="あ" * MAX_PROMPT_CHARACTERS).prompt) == MAX_PROMPT_CHARACTERS


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters())
    | st.sampled_from(["128*64", 17, 5, 7.5]),
    lambda values: st.lists(values, max_size=3),
    max_leaves=4,
)


@given(
    st.dictionaries(st.sampled_from(sorted(TextToVideo.model_fields)), json_values), st.text(st.characters())
)
@example({"size": "128*64", "frame_num": 5, "sample_guide_scale": [1, 20]}, "a cat")
def test_any_body_is_refused_by_name_or_becomes_a_request_that_can_be_stored(fields, prompt):
    try:
        request = resolved(**{"prompt": prompt} | fields | {"task": "t2v-A14B"})
    except (ValidationError, InvalidRequestError):
        return
    stored = request.model_dump_json().encode()
    assert VideoRequest.model_validate_json(stored) == request
