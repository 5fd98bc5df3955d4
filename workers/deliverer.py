"""Delivering webhooks: transitions become deliveries, deliveries are attempted. Run any number of them."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Event, Lock

from structlog.contextvars import bound_contextvars

from jobs.errors import JobNotFoundError, JobsError, StoreUnavailableError
from jobs.facts import trace_id
from jobs.state import Job
from jobs.store import JobStore
from jobs.webhook_store import DEFAULT, WebhookStore
from jobs.webhooks import Delivery, Lane, Leased, Verdict, retry_delay
from telemetry.outage import Outage
from workers.courier import Courier, Result
from workers.envelope import deliveries

AT_ONCE = 96  # in each lane, of one deliverer; no tenant gets more than half of them
POLL_SECONDS = 0.2
PAUSE_SECONDS = 1.0  # after a fault
LEASE_MARGIN_SECONDS = 45.0  # beyond the attempt itself: resolvers try for up to half a minute
_SWEEP_SECONDS = 60.0
_PAGE = 100

_log = logging.getLogger(__name__)


class Deliverer:
    """Delivers until it is told to stop. What it leaves behind when it dies, another one takes up.

    Args:
        store: endpoints and deliveries.
        jobs: the records, for what a message tells.
        courier: makes the attempts.
        attempt_seconds: how long one may take.
        public_url: what links in messages begin with; None leaves them out.
    """

    def __init__(
        self,
        store: WebhookStore,
        jobs: JobStore,
        courier: Courier,
        *,
        attempt_seconds: float,
        public_url: str | None = None,
    ) -> None:
        self._store = store
        self._jobs = jobs
        self._courier = courier
        self._lease_seconds = attempt_seconds + LEASE_MARGIN_SECONDS
        self._public_url = public_url
        self._wake = Event()
        self._lanes = {lane: _Slots(lane, self._wake.set) for lane in Lane}
        self._sweep_at = 0.0
        self._outage = Outage(_log, "The job store")

    def run(self, stopped: Event) -> None:
        """Deliver until stopped, then finish the attempts under way. A store that is away is waited for."""
        while not stopped.is_set():
            self._wake.clear()
            try:
                self._work()
                self._outage.is_over()
            except StoreUnavailableError as error:
                self._outage.meet(error)
                stopped.wait(PAUSE_SECONDS)
            except JobsError as error:
                _log.warning("Webhooks wait: %s", error)
                stopped.wait(PAUSE_SECONDS)
            except Exception:  # noqa: BLE001 - a deliverer that ends in silence would strand every delivery after it
                _log.exception("Delivering webhooks broke")
                stopped.wait(PAUSE_SECONDS)
            self._wake.wait(POLL_SECONDS)
        self._close()

    def deliver_due(self) -> None:
        """Deliver what is due now, and come back when there is no more."""
        while self._work() or not all(slots.is_idle for slots in self._lanes.values()):
            self._wake.wait()
            self._wake.clear()
        self._close()

    def _close(self) -> None:
        for slots in self._lanes.values():
            slots.close()

    def _work(self) -> bool:
        """Begin what is due and finds a free slot; whether there was any."""
        self._spread()
        began = False
        for lane, slots in self._lanes.items():
            if free := slots.free:
                for leased in self._store.lease(lane, free, self._lease_seconds):
                    slots.start(self._deliver, leased)
                    began = True
        if time.monotonic() >= self._sweep_at:
            self._store.sweep()
            self._sweep_at = time.monotonic() + _SWEEP_SECONDS
        return began

    def _spread(self) -> None:
        """Make every transition in the outbox into the deliveries it means."""
        while letters := self._store.letters(_PAGE):
            for letter in letters:
                job, endpoints = self._job(letter.job_id), self._store.endpoints(letter.tenant)
                if letter.hook:
                    self._store.endpoint(DEFAULT, letter.tenant)  # which signs for it
                self._store.accept(letter, deliveries(letter, job, endpoints, self._public_url))
            if len(letters) < _PAGE:
                break

    def _job(self, job_id: str) -> Job | None:
        try:
            return self._jobs.get(job_id)
        except JobNotFoundError:
            return None

    def _deliver(self, leased: Leased) -> None:
        result = self._courier.attempt(leased)
        verdict, delay = judge(leased, result)
        delivery, attempt = leased.delivery, result.attempt
        try:
            disabled = self._store.settle(delivery, verdict, attempt, delay)
        except StoreUnavailableError as error:  # its lease will run out
            _log.warning("The outcome of delivery %s is lost, it will be repeated: %s", delivery.id, error)
            return
        told = attempt.error or attempt.status
        _log.log(
            logging.INFO if result.delivered else logging.WARNING,
            "Delivery %s of %s, attempt %d: %s (%s)",
            *(delivery.id, delivery.event_id, attempt.number, verdict, told),
        )
        if disabled:
            _log.warning("Webhook %s is disabled: %s", leased.endpoint.id, disabled)


def judge(leased: Leased, result: Result, luck: float | None = None) -> tuple[Verdict, float]:
    """What becomes of a delivery after an attempt, and in how many seconds it is tried again.

    ``luck`` is 0 to 1, drawn when it is left out.
    """
    if result.delivered:
        return Verdict.DELIVERED, 0
    if result.gone:
        return Verdict.GONE, 0
    drawn = random.random() if luck is None else luck  # noqa: S311 - spreads retries, guards nothing
    delay = retry_delay(leased.delivery.tries, result.retry_after, drawn)
    if delay is None or not leased.delivery.persistent:
        return Verdict.FAILED, 0
    return Verdict.RETRY, delay


class _Slots:
    """The attempts of one lane that are under way: at most so many, each in a thread."""

    def __init__(self, lane: Lane, ended: Callable[[], None]) -> None:
        self._ended = ended
        self._pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix=f"webhooks-{lane}")
        self._busy = 0
        self._lock = Lock()

    @property
    def free(self) -> int:
        """How many more may begin."""
        with self._lock:
            return AT_ONCE - self._busy

    @property
    def is_idle(self) -> bool:
        """Whether none is under way."""
        return self.free == AT_ONCE

    def start(self, deliver: Callable[[Leased], None], leased: Leased) -> None:
        """Begin an attempt."""
        with self._lock:
            self._busy += 1
        self._pool.submit(self._run, deliver, leased)

    def close(self) -> None:
        """Wait for those under way."""
        self._pool.shutdown()

    def _run(self, deliver: Callable[[Leased], None], leased: Leased) -> None:
        with bound_contextvars(**_facts(leased.delivery)):
            try:
                deliver(leased)
            except Exception:  # noqa: BLE001 - its lease will run out
                _log.exception("Delivery %s broke", leased.delivery.id)
            finally:
                with self._lock:
                    self._busy -= 1
                self._ended()


def _facts(delivery: Delivery) -> dict[str, str]:
    """What log lines say of the job that a delivery tells of."""
    return {
        "job": delivery.job_id,
        "tenant": delivery.tenant,
        "request_id": delivery.request_id,
        "trace_id": trace_id(delivery.traceparent),
    }
