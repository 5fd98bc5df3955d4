"""How long a worker waits whose attempts keep failing."""

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
