"""The end of an attempt: one verb, offered until the store has taken it, and a nudge for what goes round."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from jobs.dispatch import Dispatcher
from jobs.errors import JobNotFoundError, LeaseLostError, StoreUnavailableError
from jobs.state import Job, JobState, Lease

_OFFER_SECONDS = 0.2

_log = logging.getLogger(__name__)


class Attempts:
    """Ends attempts.

    Args:
        dispatcher: nudges the queue of a job that goes back to it.
        patience_seconds: how long an outcome is offered to a store that is away: as long as the lease
            may still be held.
    """

    def __init__(self, dispatcher: Dispatcher, *, patience_seconds: float) -> None:
        self._dispatcher = dispatcher
        self._patience_seconds = patience_seconds

    def end(self, lease: Lease, verb: Callable[[], Job]) -> None:
        """End an attempt with one verb, and send the job round again if it went back to its queue.

        An attempt that no longer holds the job, or cannot tell the store, is left to the rescue.
        """
        try:
            job = self._insist(verb)
        except (LeaseLostError, JobNotFoundError, StoreUnavailableError) as error:
            _log.warning("Job %s, attempt %d: %s", lease.job_id, lease.attempt, error)
            return
        _log.info("Job %s, attempt %d: %s", job.id, lease.attempt, job.state)
        if job.state is JobState.QUEUED:
            self._dispatcher.nudge(job)

    def _insist(self, verb: Callable[[], Job]) -> Job:
        """A store that restarts must not cost a finished video: offer the outcome until it is in vain."""
        give_up_at = time.monotonic() + self._patience_seconds
        while True:
            try:
                return verb()
            except StoreUnavailableError:
                if time.monotonic() > give_up_at:
                    raise
                time.sleep(_OFFER_SECONDS)
