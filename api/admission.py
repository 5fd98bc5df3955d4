"""When a new job is taken: worked out here, decided by the store."""

from __future__ import annotations

from math import floor

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
        """The conditions of a job whose tenant has these limits."""
        return Admission(
            queue_length=self._queue_length, ahead=self._ahead(new), gpu_seconds=limits.gpu_seconds_per_day
        )

    def _ahead(self, new: NewJob) -> int | None:
        """How many jobs its queue works off in the time it is willing to wait; None where that is unknown.

        With all W workers busy, one comes free each pace/W seconds (see ``eta.py``). What is next in line
        is always taken, since a worker may be free.
        """
        load = self._load.of(new.queue)
        if new.expires_in is None or not load.pace or not load.workers:
            return None
        return max(0, floor(new.expires_in * load.workers / load.pace) - 1)
