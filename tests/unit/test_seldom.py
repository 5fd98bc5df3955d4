"""Duties that come round less often than the sweeps."""

from tests.unit.worker_parts import Clock
from workers.seldom import seldom


def test_a_duty_is_done_at_once_and_then_only_now_and_then():
    clock, done = Clock(), list[float]()

    def duty() -> None:
        done.append(clock())

    start, due = clock(), seldom(duty, 600, clock)
    for _ in range(30):
        due()
        clock.sleep(50)
    assert [at - start for at in done] == [0, 600, 1200]
    assert due.__name__ == "duty"
