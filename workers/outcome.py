"""How an attempt ends: whatever a run raises becomes the one verb that fits."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from jobs.dispatch import Dispatcher
from jobs.errors import (
    ArtifactStoreUnavailableError,
    JobNotFoundError,
    LeaseLostError,
    StoreUnavailableError,
)
from jobs.state import Job, JobError, JobState
from jobs.store import JobStore
from wan_models.errors import ModelsError
from workers.drain import DrainedError
from workers.lease import CancelRequestedError, Hold, HoldLostError, LeaseKeeper

_log = logging.getLogger(__name__)


class Outcome:
    """Ends attempts in the store, and nudges the queue when a job goes back to it.

    ``patience_seconds`` is how long an outcome is offered to a store that is away: as long as the
    lease may still be held.
    """

    def __init__(
        self, store: JobStore, dispatcher: Dispatcher, keeper: LeaseKeeper, *, patience_seconds: float
    ) -> None:
        self._store = store
        self._dispatcher = dispatcher
        self._keeper = keeper
        self._patience_seconds = patience_seconds

    @contextmanager
    def of(self, held: Hold) -> Iterator[None]:
        """End the attempt by what the block raises; a block that raises nothing goes on holding the job."""
        lease = held.lease
        try:
            yield
        except HoldLostError as stop:
            _log.warning("Job %s, attempt %d: %s", lease.job_id, lease.attempt, stop)
            self._keeper.drop(held)
        except (CancelRequestedError, DrainedError):
            # The store turns the release of a job whose cancel was requested into `cancelled`.
            self.end(held, lambda: self._store.release(lease))
        except ArtifactStoreUnavailableError as fault:
            error = JobError("artifact_store_unavailable", str(fault))
            self.end(held, lambda: self._store.retry(lease, error))
        except ModelsError as fault:
            error = JobError("generation_failed", str(fault))
            self.end(held, lambda: self._store.fail(lease, error))
        except Exception as fault:  # noqa: BLE001 - whatever it is, the attempt must end
            _log.exception("Job %s, attempt %d broke", lease.job_id, lease.attempt)
            error = JobError(
                "internal_error", f"The worker broke: {type(fault).__name__}. Its log says more."
            )
            self.end(held, lambda: self._store.fail(lease, error))

    def end(self, held: Hold, verb: Callable[[], Job]) -> None:
        """End the attempt with one verb, and send the job round again if it went back to its queue."""
        try:
            job = self._insist(verb)
            _log.info("Job %s, attempt %d: %s", job.id, held.lease.attempt, job.state)
            if job.state is JobState.QUEUED:
                self._dispatcher.nudge(job)
        except (LeaseLostError, JobNotFoundError, StoreUnavailableError) as error:
            _log.warning("Job %s, attempt %d: %s", held.lease.job_id, held.lease.attempt, error)
        finally:
            self._keeper.drop(held)

    def _insist(self, verb: Callable[[], Job]) -> Job:
        """A store that restarts must not cost a finished video: offer the outcome until it is in vain."""
        give_up_at = time.monotonic() + self._patience_seconds
        while True:
            try:
                return verb()
            except StoreUnavailableError:
                if time.monotonic() > give_up_at:
                    raise
                time.sleep(0.2)
