"""A circuit breaker: a service that fails is left alone for a while, then tried with one request."""

from __future__ import annotations

from collections.abc import Callable

FAILURES = 3
FIRST_PAUSE, LONGEST_PAUSE = 2.0, 60.0


class Breaker:
    """Says whether a service may be asked.

    Closed, it lets everything through. After ``FAILURES`` failures in a row it opens for ``FIRST_PAUSE``
    seconds; then one request may try, and each failure of such a try doubles the pause, up to
    ``LONGEST_PAUSE``. A success closes it.

    Args:
        clock: seconds from any starting point.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._failures = 0
        self._pause = FIRST_PAUSE
        self._open_until: float | None = None

    @property
    def is_closed(self) -> bool:
        """Whether all is well."""
        return self._open_until is None

    def may_try(self) -> bool:
        """Whether a request may be sent now. A yes while open is for one: the pause begins anew."""
        if self._open_until is None:
            return True
        if self._clock() < self._open_until:
            return False
        self._open_until = self._clock() + self._pause
        return True

    def succeeded(self) -> None:
        """The service answered."""
        self._failures, self._pause, self._open_until = 0, FIRST_PAUSE, None

    def failed(self) -> None:
        """The service did not answer, or said that it cannot."""
        if self._open_until is not None:
            self._pause = min(LONGEST_PAUSE, self._pause * 2)
        self._failures += 1
        if self._failures >= FAILURES:
            self._open_until = self._clock() + self._pause
