"""How long a run has to go on, by the steps that it has taken."""

from __future__ import annotations

import time
from collections.abc import Callable


class Pace:
    """Seconds a step. The first one is left out, since it waits for warm-up.

    Args:
        clock: seconds that only go up.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._first: tuple[int, float] | None = None
        self.seconds_left = 0.0
        """Until the last step is taken, as far as is known."""

    def note(self, step: int, steps: int) -> None:
        """Note a step that was taken, numbered from 1."""
        now = self._clock()
        if self._first is None:
            self._first = step, now
        first, began_at = self._first
        if step > first:
            self.seconds_left = (steps - step) * (now - began_at) / (step - first)
