"""How an attempt ends: whatever a run raises becomes the one verb that fits.

What the request or the model is to blame for is final. What another attempt may be spared is tried again:
a store that is away, a full disk, a device that failed, and everything that nobody thought of.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from jobs.errors import ArtifactNotFoundError, ArtifactStoreUnavailableError
from jobs.state import Job, JobError
from jobs.store import JobStore
from wan_models.errors import DeviceFaultError, EngineUnavailableError, ModelsError
from wan_models.speech import SpeechUnavailableError
from workers.attempts import Attempts
from workers.backoff import Backoff
from workers.drain import DrainedError
from workers.lease import CancelRequestedError, Hold, HoldLostError, LeaseKeeper
from workers.recovery import Recovery

_log = logging.getLogger(__name__)


class Outcome:
    """Ends attempts in the store, and lets go of their leases."""

    def __init__(
        self, store: JobStore, attempts: Attempts, keeper: LeaseKeeper, recovery: Recovery, backoff: Backoff
    ) -> None:
        self._recovery = recovery
        self._backoff = backoff
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
            _log.warning("%s", stop)
            held.settle()
            self._keeper.drop(held)
        except (CancelRequestedError, DrainedError):
            # The store turns the release of a job whose cancel was requested into `cancelled`.
            self.end(held, lambda: self._store.release(lease))
        except ArtifactStoreUnavailableError as fault:
            self._give_back(held, JobError("artifact_store_unavailable", str(fault)))
        except ArtifactNotFoundError:
            error = JobError("input_missing", "An input of the job is gone from the artifact store.")
            self.end(held, lambda: self._store.fail(lease, error))
        except (DeviceFaultError, EngineUnavailableError, SpeechUnavailableError) as fault:
            self._retry(held, JobError(fault.code, str(fault)))
        except ModelsError as fault:
            error = JobError(fault.code, str(fault))
            self.end(held, lambda: self._store.fail(lease, error))
        except OSError as fault:
            error = JobError("worker_disk", f"The worker cannot use its disk: {fault.strerror}.")
            self._give_back(held, error)
        except Exception as fault:  # noqa: BLE001 - whatever it is, the attempt must end
            _log.exception("Attempt %d broke", lease.attempt)
            message = f"The worker broke: {type(fault).__name__}. Its log says more."
            self._retry(held, JobError("internal_error", message))

    def _give_back(self, held: Hold, error: JobError) -> None:
        """Try again, at no cost where the disk is full: the next claim here waits for room."""
        if not self._recovery.is_without_room:
            self._retry(held, error)
            return
        _log.warning("No room. %s", error.message)
        self.end(held, lambda: self._store.release(held.lease))

    def _retry(self, held: Hold, error: JobError) -> None:
        self._recovery.failed()
        delay = self._backoff.seconds(held.lease.attempt)
        self.end(held, lambda: self._store.retry(held.lease, error, delay))

    def end(self, held: Hold, verb: Callable[[], Job]) -> None:
        """End the attempt with one verb."""
        try:
            held.settle()
            self._attempts.end(held.lease, verb)
        finally:
            self._keeper.drop(held)
