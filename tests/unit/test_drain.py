"""When a worker that shuts down gives its job back."""

import pytest

import workers.drain
from tests.unit.worker_parts import Clock
from workers.drain import Drain
from workers.pace import Pace


@pytest.fixture
def clock(monkeypatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(workers.drain, "time", clock)
    return clock


@pytest.fixture
def drain(clock) -> Drain:
    return Drain(30)


def test_a_worker_that_goes_on_has_all_the_time_there_is(drain):
    assert not drain.leaves_no(1e9)


def test_a_job_that_ends_within_the_grace_may(drain, clock):
    drain.begin()
    assert not drain.leaves_no(29)
    clock.sleep(10)
    assert not drain.leaves_no(19)


def test_a_job_that_would_not_is_given_back_at_once(drain):
    drain.begin()
    assert drain.leaves_no(31)


def test_a_job_that_takes_longer_than_it_seemed_is_given_back_when_the_grace_is_over(drain, clock):
    drain.begin()
    clock.sleep(30)
    assert drain.leaves_no(0)


class TestThePace:
    def test_is_not_known_before_the_second_step(self, clock):
        pace = Pace(clock)
        assert pace.seconds_left == 0
        clock.sleep(100)
        pace.note(1, 10)
        assert pace.seconds_left == 0

    def test_leaves_the_warm_up_out(self, clock):
        pace = Pace(clock)
        clock.sleep(100)
        pace.note(1, 10)
        clock.sleep(5)
        pace.note(2, 10)
        assert pace.seconds_left == 40
        clock.sleep(7)
        pace.note(3, 10)
        assert pace.seconds_left == 42

    def test_of_a_run_that_went_on_counts_its_own_steps_alone(self, clock):
        pace = Pace(clock)
        clock.sleep(100)
        pace.note(41, 50)
        clock.sleep(5)
        pace.note(42, 50)
        assert pace.seconds_left == 40

    def test_is_over_with_the_last_step(self, clock):
        pace = Pace(clock)
        for step in range(1, 11):
            clock.sleep(5)
            pace.note(step, 10)
        assert pace.seconds_left == 0
