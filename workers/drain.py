"""A worker that shuts down: a job that ends within the grace may, another goes back to the queue."""

from __future__ import annotations

import time
from multiprocessing import Value

from wan_models.errors import GenerationStoppedError


class DrainedError(GenerationStoppedError):
    """The worker is shutting down and the job would not finish within the grace."""

    goes_on = True


class Drain:
    """Shared by a worker's parent process, which begins the drain, and its forked child, which heeds it."""

    def __init__(self, grace_seconds: float) -> None:
        self._grace_seconds = grace_seconds
        self._leave_at = Value("d", 0.0)  # monotonic, which both processes share; 0 is never

    def begin(self) -> None:
        """Start the grace."""
        self._leave_at.value = time.monotonic() + self._grace_seconds

    def has_begun(self) -> bool:
        """Whether the worker shuts down."""
        return float(self._leave_at.value) > 0

    def leaves_no(self, seconds: float) -> bool:
        """Whether the worker shuts down, and a run that needs so many seconds more would be in vain."""
        leave_at = float(self._leave_at.value)
        return 0 < leave_at <= time.monotonic() + seconds
