"""Values that are read again only when they have grown old."""

from itertools import count

import pytest

from api.cached import Cached


class Clock:
    time = 0.0

    def __call__(self) -> float:
        return self.time


def test_a_value_is_kept_until_it_is_old():
    clock, readings = Clock(), count()
    cached = Cached(lambda: next(readings), 10, clock)
    assert [cached.get(), cached.get()] == [0, 0]
    clock.time = 9.9
    assert cached.get() == 0
    clock.time = 10
    assert cached.get() == 1


def test_a_reading_that_failed_is_not_kept():
    answers = iter([None, "there"])

    def read() -> str:
        answer = next(answers)
        if answer is None:
            raise OSError
        return answer

    cached = Cached(read, 10, Clock())
    with pytest.raises(OSError):
        cached.get()
    assert cached.get() == "there"


def test_a_reading_that_took_long_serves_those_who_waited_for_it():
    clock, readings = Clock(), count()

    def read() -> int:
        clock.time += 60
        return next(readings)

    cached = Cached(read, 10, clock)
    assert [cached.get(), cached.get()] == [0, 0]
