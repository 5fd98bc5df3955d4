"""An outage is told of when it begins, once a minute, and when it is over."""

import logging

import pytest

from telemetry.outage import Outage
from tests.unit.worker_parts import Clock

AWAY = "The store does not answer."


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def outage(clock, caplog) -> Outage:
    caplog.set_level("INFO")
    return Outage(logging.getLogger("tests"), "The store", lambda: clock.time)


def test_that_it_goes_and_comes_is_told_once_and_once_a_minute_between(outage, clock, caplog):
    outage.is_over()
    for _ in range(130):
        outage.meet(AWAY)
        clock.sleep(1)
    outage.is_over()
    outage.is_over()
    assert caplog.messages == [
        AWAY,
        f"{AWAY} So it has been for 60 s.",
        f"{AWAY} So it has been for 120 s.",
        "The store answers again, after 130 s",
    ]


def test_the_next_one_is_told_of_at_once(outage, caplog):
    outage.meet(AWAY)
    outage.is_over()
    outage.meet(AWAY)
    assert caplog.messages[-1] == AWAY
    assert len(caplog.messages) == 3


def test_one_that_was_not_met_for_a_minute_is_a_new_one(outage, clock, caplog):
    outage.meet(AWAY)
    clock.sleep(3600)
    outage.meet(AWAY)
    assert caplog.messages == [AWAY, AWAY]
