"""How long runs take: what that is told from, and that nothing is made up where nothing is known."""

import pytest

from api.eta import poll_seconds, run_seconds, run_seconds_left
from jobs.outlook import Size
from jobs.state import ANY_KIND, Pace

ANY = {ANY_KIND: Pace(0, 100)}
KNOWN = ANY | {"large": Pace(per_step=3, rest=10)}
LARGE, OTHER = Size("large", 20), Size("other", 20)


@pytest.mark.parametrize(
    ("size", "paces", "seconds"),
    [(LARGE, KNOWN, 70), (OTHER, KNOWN, 100), (LARGE, ANY, 100), (LARGE, {}, None)],
)
def test_a_run_takes_as_long_as_others_of_its_kind_or_else_as_any(size, paces, seconds):
    assert run_seconds(size, paces) == seconds


@pytest.mark.parametrize(
    ("step", "elapsed", "seconds"),
    [
        (0, 0, 70),
        (0, 4, 66),  # loading
        (0, 40, 60),  # loading for long: all steps are still to come
        (5, 19, 51),  # 4 s of the rest are gone, and 6 s come after the last step
        (5, 100, 45),  # slower than others: the steps that are left, at their pace
        (15, 1, 25),  # resumed: the steps that it did not take itself have taken nothing of the rest
        (20, 64, 6),  # decoding
        (20, 500, 0),  # and overdue
    ],
)
def test_what_is_left_of_a_run_are_its_steps_and_the_rest_that_is_not_spent(step, elapsed, seconds):
    assert run_seconds_left(LARGE, step, elapsed, KNOWN) == seconds


@pytest.mark.parametrize(
    ("step", "elapsed", "paces", "seconds"),
    [
        (5, 30, ANY, 90),
        (5, 30, {}, 90),
        (0, 30, ANY, 70),
        (20, 30, ANY, 70),
        (0, 300, ANY, 0),
        (0, 30, {}, None),
    ],
)
def test_where_nothing_of_its_kind_is_known_its_own_steps_tell_or_else_any_run(step, elapsed, paces, seconds):
    assert run_seconds_left(OTHER, step, elapsed, paces) == seconds


@pytest.mark.parametrize(
    ("eta", "seconds"), [(None, 1), (0, 1), (39, 1), (40, 2), (100, 5), (200, 10), (9999, 10)]
)
def test_the_longer_it_takes_the_less_often_a_client_should_ask(eta, seconds):
    assert poll_seconds(eta) == seconds
