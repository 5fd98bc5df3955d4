"""How long a job waits for its next attempt."""

from __future__ import annotations

import random
from collections.abc import Callable

_LONGEST_SECONDS = 600.0
_JITTER = 0.25


class Backoff:
    """Longer with each attempt, and by chance a quarter more or less: what failed together comes back apart.

    Args:
        first_seconds: the wait after the first attempt; 0 for none after any.
        chance: draws from 0 to 1.
    """

    def __init__(self, first_seconds: float, chance: Callable[[], float] = random.random) -> None:
        self._first_seconds = first_seconds
        self._chance = chance

    def seconds(self, attempt: int) -> float:
        """The wait after an attempt, numbered from 1: twice that after the one before, up to 10 minutes."""
        whole = min(_LONGEST_SECONDS, self._first_seconds * 2.0 ** min(attempt - 1, 32))
        return whole * (1 + _JITTER * (2 * self._chance() - 1))
