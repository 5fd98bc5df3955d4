"""When a new job is taken: worked out here, decided by the store."""

from __future__ import annotations

from api.load import Load
from jobs.limits import Limits
from jobs.state import Admission, NewJob


class Admissions:
    """The conditions of new jobs.

    Args:
        load: how busy the queues are.
        queue_length: jobs that a queue may hold, or None for any number.
    """

    def __init__(self, load: Load, queue_length: int | None = None) -> None:
        self._load = load
        self._queue_length = queue_length

    def of(self, new: NewJob, limits: Limits) -> Admission:
        """The conditions of a job whose tenant has these limits.

        It is taken behind no more jobs than the queue is expected to start in the time that it is willing to
        wait. What is next in line is always taken.
        """
        return Admission(
            queue_length=self._queue_length,
            ahead=None if new.expires_in is None else self._load.ahead_within(new.queue, new.expires_in),
            gpu_seconds=limits.gpu_seconds_per_day,
        )
