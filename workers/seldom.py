"""Duties that need not be done at every sweep."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import wraps


def seldom(
    duty: Callable[[], None], seconds: float, clock: Callable[[], float] = time.monotonic
) -> Callable[[], None]:
    """The same duty, done at the first call and then no more often than every so many seconds."""
    due_at = clock()

    @wraps(duty)
    def when_due() -> None:
        nonlocal due_at
        if clock() >= due_at:
            due_at = clock() + seconds
            duty()

    return when_due
