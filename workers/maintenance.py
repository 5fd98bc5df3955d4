"""The sweeps that keep promises nobody else can: rescue, expire, relay, prune. Run any number of them."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from threading import Event, Thread

from structlog.contextvars import bound_contextvars

from jobs.artifacts import ArtifactStore
from jobs.dispatch import Dispatcher
from jobs.errors import JobsError, StoreUnavailableError
from jobs.facts import facts_of
from jobs.state import Job
from jobs.store import JobStore
from telemetry.outage import Outage

# What one sweep sends for a queue, at most: enough for any fleet, and no flood for one that is away.
_MOST_MESSAGES = 100

_log = logging.getLogger(__name__)


class Maintenance:
    """One sweeper over all jobs. Each duty is a method, takes little, and may be repeated.

    Args:
        store: the job records.
        artifacts: the files of jobs.
        dispatcher: the messages that wake workers.
        queues: the queues whose messages are counted.
        more: duties of others that delete files, done at every sweep as well.
        lease_seconds: how long a lease lasts without a heartbeat.
        rescued: told of each job that was rescued here.
        clock: seconds that only go up.
    """

    def __init__(
        self,
        store: JobStore,
        artifacts: ArtifactStore,
        dispatcher: Dispatcher,
        queues: Sequence[str],
        more: Sequence[Callable[[], None]] = (),
        *,
        lease_seconds: float,
        rescued: Callable[[Job], None] = lambda _job: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._artifacts = artifacts
        self._dispatcher = dispatcher
        self._queues = queues
        self._lease_seconds = lease_seconds
        self._clock = clock
        self._away_since: float | None = None
        self._outage = Outage(_log, "The job store", clock)
        self._rescue_from = clock()
        self._more = more
        self._rescued = rescued
        self._missing = dict.fromkeys(queues, 0)  # messages, at the last sweep

    def run(self, stopped: Event, every_seconds: float) -> None:
        """Sweep until stopped. A store that is away is waited for.

        What deletes files has a thread of its own: many of them in a slow store must not delay a rescue.
        """
        cleaner = Thread(target=self._repeat, args=(self._clean, stopped, every_seconds), name="cleaning")
        cleaner.start()
        self._repeat(self._keep_moving, stopped, every_seconds)
        cleaner.join()

    def sweep(self) -> None:
        """Every duty once."""
        self._keep_moving()
        self._clean()

    def _repeat(self, sweep: Callable[[], None], stopped: Event, every_seconds: float) -> None:
        while not stopped.wait(every_seconds):
            sweep()

    def _keep_moving(self) -> None:
        self._do(self.rescue, self.expire, self.promote, self.relay, self.bury)

    def _clean(self) -> None:
        self._do(self.prune, *self._more)

    def _do(self, *duties: Callable[[], None]) -> None:
        """One that fails keeps none of the others from being done, now or next time."""
        for duty in duties:
            try:
                duty()
            except StoreUnavailableError as error:
                self._outage.meet(error)
            except JobsError as error:
                _log.warning("Maintenance, %s: %s", duty.__name__, error)
            except Exception:  # noqa: BLE001 - a sweeper that ends in silence would strand every job after it
                _log.exception("Maintenance, %s, broke", duty.__name__)

    def rescue(self) -> None:
        """Send jobs whose worker stopped answering round again.

        Once the store was away for a while, a lease that ran out meanwhile says nothing about its worker:
        for one lease the heartbeats come first.
        """
        if not self._leases_can_be_trusted():
            return
        for job in self._store.rescue():
            with bound_contextvars(**facts_of(job)):
                _log.warning("Rescued from a worker that stopped answering, the job is %s", job.state)
            self._rescued(job)

    def expire(self) -> None:
        """End jobs that waited longer than they were willing to, and attempts that take too long."""
        for job in self._store.expire():
            with bound_contextvars(**facts_of(job)):
                _log.info("Out of time, the job is %s", job.state)

    def promote(self) -> None:
        """Put jobs back in line whose wait after a failed attempt is over."""
        for job in self._store.promote():
            _log.info("Job %s is tried again", job.id)

    def relay(self) -> None:
        """Send messages where fewer wait than there are jobs to claim.

        Only what was missing at the last sweep too: a worker may be between receiving and claiming.
        """
        for queue in self._queues:
            missing = max(0, self._store.claimable(queue) - self._dispatcher.waiting(queue))
            lost = min(missing, self._missing[queue], _MOST_MESSAGES)
            self._missing[queue] = missing - lost
            for _ in range(lost):
                self._dispatcher.wake(queue)

    def bury(self) -> None:
        """Forget workers that went without a word."""
        self._store.bury()

    def prune(self) -> None:
        """Forget jobs whose retention ran out: the artifacts first, so that none is left without a job."""
        for job_id in self._store.outdated():
            try:
                for artifact in self._artifacts.find(f"{job_id}/"):
                    self._artifacts.delete(artifact.key)
                self._store.remove(job_id)
            except JobsError as error:  # one that cannot be removed must not keep the others
                with bound_contextvars(job=job_id):
                    _log.warning("It cannot be pruned: %s", error)

    def _leases_can_be_trusted(self) -> bool:
        now = self._clock()
        try:
            self._store.ping()
        except StoreUnavailableError:
            self._away_since = now if self._away_since is None else self._away_since
            raise
        self._outage.is_over()
        # A shorter absence left every lease the time for another heartbeat, of which there are three a lease.
        if self._away_since is not None and now - self._away_since > self._lease_seconds / 3:
            self._rescue_from = now + self._lease_seconds
        self._away_since = None
        return now >= self._rescue_from
