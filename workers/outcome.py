"""How an attempt ends: whatever a run raises becomes the one verb that fits."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from jobs.errors import ArtifactNotFoundError, ArtifactStoreUnavailableError
from jobs.state import Job, JobError
from jobs.store import JobStore
from wan_models.errors import ModelsError
from workers.attempts import Attempts
from workers.drain import DrainedError
from workers.lease import CancelRequestedError, Hold, HoldLostError, LeaseKeeper

_log = logging.getLogger(__name__)


class Outcome:
    """Ends attempts in the store, and lets go of their leases."""

    def __init__(self, store: JobStore, attempts: Attempts, keeper: LeaseKeeper) -> None:
        self._store = store
        self._attempts = attempts
        self._keeper = keeper

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
        except ArtifactNotFoundError:
            error = JobError("input_missing", "An input of the job is gone from the artifact store.")
            self.end(held, lambda: self._store.fail(lease, error))
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
        """End the attempt with one verb."""
        try:
            held.settle()
            self._attempts.end(held.lease, verb)
        finally:
            self._keeper.drop(held)
