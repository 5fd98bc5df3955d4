"""The end of an attempt: one verb, offered until the store has taken it."""

from __future__ import annotations

import logging
from collections.abc import Callable

from jobs.errors import JobNotFoundError, LeaseLostError, StoreUnavailableError
from jobs.state import Job, Lease
from workers.patience import insist

PATIENCE_SECONDS = 3600
"""How long a finished video is worth waiting for a store: the leases of a store that was away are kept."""

_log = logging.getLogger(__name__)


class Attempts:
    """Ends attempts.

    Args:
        patience_seconds: how long an outcome is offered to a store that is away.
    """

    def __init__(self, *, patience_seconds: float = PATIENCE_SECONDS) -> None:
        self._patience_seconds = patience_seconds

    def end(self, lease: Lease, verb: Callable[[], Job]) -> None:
        """End an attempt with one verb.

        An attempt that no longer holds the job, or cannot tell the store, is left to the rescue.
        """
        try:
            job = insist(verb, self._patience_seconds)
        except (LeaseLostError, JobNotFoundError, StoreUnavailableError) as error:
            _log.warning("How attempt %d ended is lost: %s", lease.attempt, error)
            return
        fault = job.attempts[-1].error
        why = f": {fault.code}: {fault.message}" if fault else ""
        level = logging.WARNING if fault else logging.INFO
        _log.log(level, "Attempt %d ended, the job is %s%s", lease.attempt, job.state, why)
