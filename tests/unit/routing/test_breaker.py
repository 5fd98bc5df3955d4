"""Leaving a failing service alone, and sharing requests out."""

import pytest

from routing.breaker import FAILURES, FIRST_PAUSE, LONGEST_PAUSE, Breaker
from routing.replicas import NoReplicaError, Replicas


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def opened(clock: Clock) -> Breaker:
    breaker = Breaker(clock)
    for _ in range(FAILURES):
        breaker.failed()
    return breaker


def test_a_failure_now_and_then_changes_nothing():
    breaker = Breaker(Clock())
    for _ in range(10):
        for _ in range(FAILURES - 1):
            breaker.failed()
        breaker.succeeded()
    assert breaker.is_closed
    assert breaker.may_try()


def test_failures_in_a_row_open_it_for_a_while():
    clock = Clock()
    breaker = opened(clock)
    assert not breaker.is_closed
    assert not breaker.may_try()
    clock.now = FIRST_PAUSE
    assert breaker.may_try()


def test_one_request_at_a_time_tries_an_open_one():
    clock = Clock()
    breaker = opened(clock)
    clock.now = FIRST_PAUSE
    assert breaker.may_try()
    assert not breaker.may_try()


def test_each_failed_try_doubles_the_pause_up_to_the_longest():
    clock = Clock()
    breaker = opened(clock)
    pauses = []
    for _ in range(8):
        begin = clock.now
        while not breaker.may_try():
            clock.now += 0.5
        pauses.append(clock.now - begin)
        breaker.failed()
    assert pauses[:3] == [FIRST_PAUSE, 2 * FIRST_PAUSE, 4 * FIRST_PAUSE]
    assert pauses[-1] == LONGEST_PAUSE


def test_a_success_closes_it():
    clock = Clock()
    breaker = opened(clock)
    clock.now = FIRST_PAUSE
    assert breaker.may_try()
    breaker.succeeded()
    assert breaker.is_closed
    breaker.failed()
    assert breaker.is_closed


def test_the_least_busy_server_is_asked_and_idle_ones_take_turns():
    replicas = Replicas(["http://a/", "http://b"], Clock())
    with replicas.lease() as first, replicas.lease() as second:
        assert {first.url, second.url} == {"http://a", "http://b"}
        assert [one.outstanding for one in replicas] == [1, 1]
    order = []
    for _ in range(4):
        with replicas.lease() as replica:
            order.append(replica.url)
    assert order == ["http://a", "http://b"] * 2


def test_a_server_that_failed_this_request_is_not_asked_again():
    replicas = Replicas(["http://a", "http://b"], Clock())
    with replicas.lease() as first:
        pass
    with replicas.lease({first}) as second:
        assert second is not first
    with pytest.raises(NoReplicaError), replicas.lease({first, second}):
        pass


def test_a_server_that_is_left_alone_gets_nothing_and_without_any_there_is_none_available():
    replicas = Replicas(["http://a"], Clock())
    (only,) = replicas
    for _ in range(FAILURES):
        only.breaker.failed()
    assert not replicas.available
    with pytest.raises(NoReplicaError), replicas.lease():
        pass
