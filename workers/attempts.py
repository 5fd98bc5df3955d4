"""The end of an attempt: one verb, offered until the store has taken it, and a nudge for what goes round."""

from __future__ import annotations

import logging
from collections.abc import Callable

from jobs.dispatch import Dispatcher
from jobs.errors import JobNotFoundError, LeaseLostError, StoreUnavailableError
from jobs.state import Job, JobState, Lease
from workers.patience import insist

PATIENCE_SECONDS = 3600
"""How long a finished video is worth waiting for a store: the leases of a store that was away are kept."""

_log = logging.getLogger(__name__)


class Attempts:
    """Ends attempts.

    Args:
        dispatcher: nudges the queue of a job that goes back to it.
        patience_seconds: how long an outcome is offered to a store that is away.
    """

    def __init__(self, dispatcher: Dispatcher, *, patience_seconds: float = PATIENCE_SECONDS) -> None:
        self._dispatcher = dispatcher
        self._patience_seconds = patience_seconds

    def end(self, lease: Lease, verb: Callable[[], Job]) -> None:
        """End an attempt with one verb, and send the job round again if it went back to its queue.

        An attempt that no longer holds the job, or cannot tell the store, is left to the rescue.
        """
        try:
            job = insist(verb, self._patience_seconds)
        except (LeaseLostError, JobNotFoundError, StoreUnavailableError) as error:
            _log.warning("Job %s, attempt %d: %s", lease.job_id, lease.attempt, error)
            return
        _log.info("Job %s, attempt %d: %s", job.id, lease.attempt, job.state)
        if job.state is JobState.QUEUED:
            self._dispatcher.nudge(job)
