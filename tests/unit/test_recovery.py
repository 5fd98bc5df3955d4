"""How long a worker waits whose attempts keep failing, or whose disk is full."""

from pathlib import Path

from jobs.disks import Disks
from workers.recovery import Recovery


def test_the_first_failure_costs_nothing_and_each_further_one_twice_as_long():
    recovery, waits = Recovery(lambda: False), []
    for _ in range(8):
        recovery.failed()
        waits.append(recovery.seconds)
    assert waits == [0, 2, 4, 8, 16, 32, 60, 60]


def test_a_run_that_comes_through_ends_the_waits():
    recovery = Recovery(lambda: False)
    for _ in range(3):
        recovery.failed()
    recovery.succeeded()
    assert recovery.seconds == 0


def test_a_worker_that_shuts_down_does_not_wait():
    waited: list[float] = []
    recovery = Recovery(lambda: bool(waited), wait=waited.append)
    for _ in range(5):
        recovery.failed()
    assert not recovery.pause()
    assert waited == [0.5]


def test_a_worker_that_shuts_down_without_room_does_not_say_that_there_is_some(caplog):
    caplog.set_level("INFO")
    waited: list[float] = []
    told: list[bool] = []
    full = Disks({"data": Path()}, 1, lambda _: 0)
    assert not Recovery(lambda: bool(waited), full, wait=waited.append, tell=told.append).pause()
    assert told == [True]
    assert [line.split(":")[0] for line in caplog.messages] == ["A disk is full"]
