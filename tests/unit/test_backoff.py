"""How long a job waits for its next attempt."""

import pytest

from workers.backoff import Backoff


@pytest.mark.parametrize(
    ("attempt", "seconds"), [(1, 10), (2, 20), (3, 40), (7, 600), (100, 600), (10_000, 600)]
)
def test_it_doubles_up_to_ten_minutes(attempt, seconds):
    assert Backoff(10, lambda: 0.5).seconds(attempt) == seconds


@pytest.mark.parametrize(("luck", "seconds"), [(0.0, 7.5), (1.0, 12.5)])
def test_chance_makes_it_a_quarter_more_or_less(luck, seconds):
    assert Backoff(10, lambda: luck).seconds(1) == seconds


def test_it_may_be_switched_off():
    assert Backoff(0).seconds(3) == 0
