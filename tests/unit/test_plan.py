"""The memory plan: the fastest that fits, and what each has on the device."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wan_models.plan import Plan, choose_plan, needed_bytes

A14B = {
    "transformer": 28_600_000_000,
    "transformer_2": 28_600_000_000,
    "text_encoder": 11_400_000_000,
    "vae": 500_000_000,
}
TI2V = {"transformer": 10_000_000_000, "text_encoder": 11_400_000_000, "vae": 2_800_000_000}
GB = 1_000_000_000
PARTS = st.dictionaries(
    st.sampled_from(["transformer", "transformer_2", "text_encoder", "vae", "audio_encoder"]),
    st.integers(0, 60 * GB),
)
SIZES = st.integers(0, 200 * GB)


@pytest.mark.parametrize(
    ("parts", "working_gb", "free_gb", "plan"),
    [
        (A14B, 31, 139, Plan.RESIDENT),
        (A14B, 31, 80, Plan.MODEL_OFFLOAD),
        (A14B, 31, 48, Plan.GROUP_OFFLOAD),
        (A14B, 31, 24, Plan.FP8),
        (TI2V, 13, 48, Plan.RESIDENT),
        (TI2V, 13, 32, Plan.MODEL_OFFLOAD),
        (TI2V, 13, 24, Plan.GROUP_OFFLOAD),
    ],
)
def test_each_card_gets_the_fastest_plan_that_fits(parts, working_gb, free_gb, plan):
    assert choose_plan(parts, working_gb * GB, free_gb * GB) is plan


@given(PARTS)
def test_each_plan_needs_no_more_than_the_one_before_it(parts):
    needs = [needed_bytes(plan, parts) for plan in (Plan.RESIDENT, Plan.MODEL_OFFLOAD, Plan.GROUP_OFFLOAD)]
    assert needs == sorted(needs, reverse=True)
    assert needed_bytes(Plan.FP8, parts) <= needs[-1]


@given(PARTS, SIZES, SIZES)
def test_what_is_chosen_fits_and_nothing_faster_would(parts, working, free):
    plans = list(Plan)
    chosen = plans.index(choose_plan(parts, working, free))
    fits = [needed_bytes(plan, parts) + working <= free for plan in plans]
    assert not any(fits[:chosen])
    assert fits[chosen] or not any(fits)


@given(PARTS, SIZES, SIZES, SIZES)
def test_more_memory_never_gives_a_slower_plan(parts, working, one, other):
    plans = list(Plan)
    less, more = sorted((one, other))
    assert plans.index(choose_plan(parts, working, more)) <= plans.index(choose_plan(parts, working, less))


def test_the_plans_end_at_the_smallest():
    assert [plan.smaller for plan in Plan] == [*list(Plan)[1:], None]
