"""Which model serves: a pure function of the wish and the load."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routing.selection import ModelLoad, Wish, candidates, choose
from wan_models.catalog import CATALOG, Kind, Size

LOADS = st.builds(
    ModelLoad,
    installed=st.booleans(),
    workers=st.integers(0, 3),
    queued=st.integers(0, 50),
    eta_seconds=st.none() | st.floats(0, 10_000),
)
FLEETS = st.dictionaries(st.sampled_from(sorted(CATALOG)), LOADS)
WISHES = st.builds(
    Wish,
    kind=st.sampled_from(Kind),
    prefer_speed=st.booleans(),
    seconds=st.none() | st.floats(0.1, 100),
    frames=st.none() | st.integers(1, 200),
    size=st.none() | st.sampled_from([Size(1280, 720), Size(832, 480), Size(1280, 704)]),
    max_wait=st.floats(1, 5000),
)
READY = ModelLoad(installed=True, workers=1, eta_seconds=10)
ALL = dict.fromkeys(CATALOG, READY)


@given(WISHES, FLEETS)
def test_what_is_chosen_is_installed_and_able(wish, fleet):
    choice = choose(wish, fleet)
    able = candidates(wish)
    assert (choice is None) == (not any(fleet.get(spec.id, ModelLoad()).installed for spec in able))
    if choice:
        assert choice.model in able
        assert fleet[choice.model.id].installed


@given(WISHES, FLEETS)
def test_the_same_wish_and_load_make_the_same_choice(wish, fleet):
    assert choose(wish, fleet) == choose(wish, dict(reversed(fleet.items())))


@given(WISHES, FLEETS)
def test_a_choice_that_is_not_the_first_says_why(wish, fleet):
    choice = choose(wish, fleet)
    if choice:
        assert bool(choice.obstacle) == choice.is_fallback


@given(WISHES, FLEETS, st.integers(1, 100))
def test_more_load_on_a_model_that_was_not_chosen_changes_nothing(wish, fleet, more):
    choice = choose(wish, fleet)
    if not choice:
        return
    for spec in candidates(wish):
        if spec is not choice.model and spec.id in fleet:
            load = fleet[spec.id]
            busier = ModelLoad(
                installed=load.installed,
                workers=load.workers,
                queued=load.queued + more,
                eta_seconds=None if load.eta_seconds is None else load.eta_seconds + more,
            )
            again = choose(wish, {**fleet, spec.id: busier})
            assert again
            assert again.model is choice.model


@given(WISHES, FLEETS)
def test_a_model_without_workers_serves_only_where_none_that_fits_has_any(wish, fleet):
    choice = choose(Wish(kind=wish.kind, prefer_speed=wish.prefer_speed), fleet)
    if choice and not fleet[choice.model.id].workers:
        live = [spec for spec in candidates(wish) if fleet.get(spec.id, ModelLoad()).installed]
        assert not any(fleet[spec.id].workers for spec in live)


@pytest.mark.parametrize(
    ("kind", "quality", "speed"),
    [
        (Kind.TEXT_TO_VIDEO, "t2v-A14B", "ti2v-5B"),
        (Kind.IMAGE_TO_VIDEO, "i2v-A14B", "ti2v-5B"),
        (Kind.TEXT_IMAGE_TO_VIDEO, "ti2v-5B", "ti2v-5B"),
        (Kind.SPEECH_TO_VIDEO, "s2v-14B", "s2v-14B"),
        (Kind.ANIMATION, "animate-14B", "animate-14B"),
    ],
)
def test_with_everything_idle_preference_decides(kind, quality, speed):
    for prefer_speed, expected in ((False, quality), (True, speed)):
        choice = choose(Wish(kind=kind, prefer_speed=prefer_speed), ALL)
        assert choice
        assert (choice.model.id, choice.is_fallback) == (expected, False)


@pytest.mark.parametrize(
    ("load", "why"),
    [
        (ModelLoad(), "t2v-A14B is not installed."),
        (ModelLoad(installed=True), "No live worker serves t2v-A14B."),
        (
            ModelLoad(installed=True, workers=1, eta_seconds=7200.4),
            "The queue of t2v-A14B is too long: about 7200 seconds.",
        ),
    ],
)
def test_each_obstacle_leads_to_the_next_model_and_is_named(load, why):
    choice = choose(Wish(kind=Kind.TEXT_TO_VIDEO), {**ALL, "t2v-A14B": load})
    assert choice
    assert (choice.model.id, choice.obstacle) == ("ti2v-5B", why)


def test_with_the_same_obstacle_everywhere_the_preferred_model_serves():
    busy = ModelLoad(installed=True, workers=1, eta_seconds=99_999)
    choice = choose(Wish(kind=Kind.TEXT_TO_VIDEO), dict.fromkeys(CATALOG, busy))
    assert choice
    assert (choice.model.id, choice.obstacle) == ("t2v-A14B", None)


def test_a_size_that_one_model_alone_makes_decides():
    choice = choose(Wish(kind=Kind.TEXT_TO_VIDEO, size=Size(1280, 704)), ALL)
    assert choice
    assert choice.model.id == "ti2v-5B"
