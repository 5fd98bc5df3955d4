"""Keeping a lease: a heartbeat from a thread of its own, and the reasons to stop a run."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from threading import Event, Lock, Thread
from types import TracebackType
from typing import Self

from jobs.errors import JobNotFoundError, JobsError, LeaseLostError, StoreUnavailableError
from jobs.state import Lease, Progress
from jobs.store import JobStore
from wan_models.errors import GenerationStoppedError

_BEATS_PER_LEASE = 3

_log = logging.getLogger(__name__)


class CancelRequestedError(GenerationStoppedError):
    """The client asked for this job to be cancelled."""


class HoldLostError(GenerationStoppedError):
    """The lease ran out or went to another attempt: nothing this run does counts any more."""


class Hold:
    """One job that this process holds. It is told of progress, and tells when to stop."""

    def __init__(self, lease: Lease, store: JobStore, lease_seconds: float) -> None:
        self.lease = lease
        self._store = store
        self._lease_seconds = lease_seconds
        self._renewed_at = time.monotonic()
        self._stop: GenerationStoppedError | None = None
        self._progress = Progress()

    def report(self, stage: str, step: int | None = None, steps: int | None = None) -> None:
        """Note progress in the record and renew the lease. A stage without steps keeps those of the last.

        Raises:
            GenerationStoppedError: the run should stop; the subclass says why.
        """
        last = self._progress
        self._progress = Progress(
            stage, last.step if step is None else step, last.steps if steps is None else steps
        )
        self.renew(self._progress)
        if self._stop:
            raise self._stop

    def renew(self, progress: Progress | None = None) -> None:
        """Send one heartbeat and remember what it learned."""
        try:
            if self._store.heartbeat(self.lease, progress):
                self._stop = CancelRequestedError("A cancel was requested.")
            self._renewed_at = time.monotonic()
        except (LeaseLostError, JobNotFoundError) as error:
            self._stop = HoldLostError(str(error))
        except StoreUnavailableError as error:
            # The store may be back before the lease ends; only then is the run in vain.
            if time.monotonic() - self._renewed_at > self._lease_seconds:
                self._stop = HoldLostError(str(error))


class LeaseKeeper:
    """Renews every lease of this process, and says that its worker is alive, from one thread.

    Use as a context manager, in the process that runs the jobs.
    """

    def __init__(self, store: JobStore, worker: str, queues: Sequence[str], *, lease_seconds: float) -> None:
        self._store = store
        self._worker = worker
        self._queues = queues
        self._lease_seconds = lease_seconds
        self._holds: dict[str, Hold] = {}
        self._lock = Lock()
        self._stopped = Event()
        self._thread = Thread(target=self._beat, name="lease-keeper", daemon=True)

    def __enter__(self) -> Self:
        self._announce()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopped.set()
        self._thread.join()
        self._tell(lambda: self._store.retire(self._worker))

    def hold(self, lease: Lease) -> Hold:
        """Start to renew a lease."""
        held = Hold(lease, self._store, self._lease_seconds)
        with self._lock:
            self._holds[lease.job_id] = held
        return held

    def drop(self, held: Hold) -> None:
        """Stop to renew a lease; its attempt has ended."""
        with self._lock:
            # A later attempt of the same job may run in this process already.
            if self._holds.get(held.lease.job_id) is held:
                del self._holds[held.lease.job_id]

    def _beat(self) -> None:
        while not self._stopped.wait(self._lease_seconds / _BEATS_PER_LEASE):
            try:
                self._renew_all()
            except Exception:  # noqa: BLE001 - without this thread the worker loses every job from now on
                _log.exception("A round of heartbeats broke")

    def _renew_all(self) -> None:
        with self._lock:
            holds = list(self._holds.values())
        for held in holds:
            held.renew()
        self._announce()

    def _announce(self) -> None:
        self._tell(lambda: self._store.announce(self._worker, self._queues))

    def _tell(self, say: Callable[[], None]) -> None:
        try:
            say()
        except JobsError as error:
            _log.warning("Worker %s cannot be listed: %s", self._worker, error)
