"""``python -m workers.keeper``: renews the leases of the process that runs jobs, and outlives it.

It has no torch and holds no device, so nothing keeps it from its beat. The process that runs the jobs
(the child) starts it and speaks to it over a socket; the end of that socket means that the child died.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import time
from argparse import ArgumentParser
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from socket import socket

from structlog.contextvars import bound_contextvars

from jobs.connect import open_store
from jobs.errors import JobNotFoundError, JobsError, LeaseLostError, StoreUnavailableError
from jobs.settings import load_settings
from jobs.state import NOTES_KEPT, Job, JobError, Lease, Note, Progress
from jobs.store import JobStore
from telemetry.logs import configure_logging
from telemetry.outage import Outage
from workers.attempts import Attempts
from workers.channel import Channel, Message
from workers.death import Death
from workers.lease import AT_WORK, FINISHING, PAST_STEPS
from workers.rotation import Rotation
from workers.settings import WorkerSettings

_BEATS_PER_LEASE = 3
_LONGEST_BEAT_SECONDS = 1.0  # a cancel is noticed within it
_SEND_SECONDS = 1.0
_FINISH_SECONDS = 300.0

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Holding:
    """One job that the child holds.

    ``facts`` are what log lines say of it. ``stop`` is why it was told to stop, ``cancel`` or ``lost``, and
    ``stopped_at`` when, by the keeper's clock.
    """

    lease: Lease
    facts: Mapping[str, str]
    progress: Progress | None = None  # what the record does not know yet
    stage: str = ""
    stop: str | None = None
    stopped_at: float = 0.0
    notes: deque[Note] = field(default_factory=lambda: deque(maxlen=NOTES_KEPT))  # which the record lacks

    @property
    def on_device(self) -> bool:
        """Whether it is not done with the device yet."""
        return self.stage not in FINISHING

    @property
    def is_cancelled_late(self) -> bool:
        """Whether it is to be cancelled where there is no step left to stop at."""
        return self.stop == "cancel" and self.stage in PAST_STEPS


class Keeper:
    """Renews the leases of one child, passes on reasons to stop, and ends what the child no longer can.

    Args:
        store: the job records.
        attempts: ends attempts.
        worker: the name that the child claims jobs by.
        rotation: the queues that it serves.
        lease_seconds: how long a lease lasts without a heartbeat.
        grace_seconds: how long a run that was told to stop may go on before its process is killed. A video
            that is only being finished is not in the way of the device and has five minutes.
        kill: kills the child.
        clock: seconds that only go up.
    """

    def __init__(
        self,
        store: JobStore,
        attempts: Attempts,
        worker: str,
        rotation: Rotation,
        *,
        lease_seconds: float,
        grace_seconds: float,
        kill: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._attempts = attempts
        self._worker = worker
        self._rotation = rotation
        self._grace_seconds = grace_seconds
        self._kill = kill
        self._killed = False
        self._outage = Outage(_log, "The job store", clock)
        self._clock = clock
        self._every_seconds = min(_LONGEST_BEAT_SECONDS, lease_seconds / _BEATS_PER_LEASE)
        self._beat_at = clock()
        self._holdings: dict[tuple[str, int], Holding] = {}

    def serve(self, channel: Channel, how_died: Callable[[], str]) -> None:
        """Keep the child's jobs until it says good-bye or dies. It takes none before it hears from here."""
        self.look()
        with suppress(OSError):  # as below
            channel.send({"do": AT_WORK})
        while True:
            try:
                messages = channel.receive(self._beat_at - self._clock())
            except EOFError:
                self.bury(how_died())
                return
            for message in messages:
                if message["do"] == "leave":
                    self._say(lambda: self._store.retire(self._worker))
                    return
                self.take(message)
            for stop in self.look():
                with suppress(OSError):  # the child died; the next look at the socket tells so
                    channel.send(stop)

    def take(self, message: Message) -> None:
        """Act on one message of the child."""
        key = message["job"], message["attempt"]
        match message["do"]:
            case "hold":
                self._holdings[key] = Holding(Lease(key[0], self._worker, key[1]), message["facts"])
            case "report":
                self._note(key, Progress(*message["progress"]))
            case "note":
                if holding := self._holdings.get(key):
                    holding.notes.append(Note(*message["note"]))
            case "drop":
                if holding := self._holdings.pop(key, None):
                    self._tell_owner(holding)

    def look(self) -> list[Message]:
        """Renew what is due, and kill a child that does not stop.

        Returns:
            What the child must be told.
        """
        now = self._clock()
        beat = now >= self._beat_at
        if beat:
            self._beat_at = now + self._every_seconds
            self._say(self._announce)
            for holding in self._holdings.values():
                self._tell_owner(holding)
        stops = [
            self._stop(holding, *reason)
            for holding in self._holdings.values()
            if (beat or holding.progress) and (reason := self._renew(holding))
        ]
        if overdue := [holding for holding in self._holdings.values() if self._is_overdue(holding)]:
            for holding in overdue:
                self._note_kill(holding)
            self._kill()
            self._killed = True
            for holding in self._take_all():
                self._end(holding, self._store.release)  # the other jobs of the child did nothing wrong
        return stops

    def bury(self, how: str) -> None:
        """End the attempts of a child that died."""
        error = JobError("worker_lost", f"The process of worker {self._worker} died: {how}.")
        holdings = self._take_all()
        if not holdings and not self._killed:
            _log.error("The process of worker %s died: %s", self._worker, how)
        someone_ran = any(holding.on_device for holding in holdings)
        for holding in holdings:
            if someone_ran and not holding.on_device:
                self._end(holding, self._store.release)  # it was only being encoded or uploaded
            else:
                self._end(holding, lambda lease: self._store.retry(lease, error))

    def _note(self, key: tuple[str, int], progress: Progress) -> None:
        if holding := self._holdings.get(key):
            holding.progress = progress
            holding.stage = progress.stage

    def _renew(self, holding: Holding) -> tuple[str, str] | None:
        """Send one heartbeat; gives the reason to stop that it brings, if it brings one."""
        if holding.stop == "lost":
            return None
        try:
            cancelled = self._store.heartbeat(holding.lease, holding.progress)
        except (LeaseLostError, JobNotFoundError) as error:
            return "lost", str(error)
        except StoreUnavailableError as error:
            # Only the store can say that a lease is lost, and it may come back as if nothing had been.
            with bound_contextvars(**holding.facts):
                _log.debug("No heartbeat: %s", error)
            return None
        holding.progress = None
        return ("cancel", "A cancel was requested.") if cancelled and not holding.stop else None

    def _stop(self, holding: Holding, reason: str, why: str) -> Message:
        holding.stop = reason
        holding.stopped_at = self._clock()
        return {"job": holding.lease.job_id, "attempt": holding.lease.attempt, "stop": reason, "why": why}

    def _is_overdue(self, holding: Holding) -> bool:
        grace = self._grace_seconds if holding.on_device else max(self._grace_seconds, _FINISH_SECONDS)
        return holding.stop is not None and self._clock() >= holding.stopped_at + grace

    def _take_all(self) -> list[Holding]:
        holdings = list(self._holdings.values())
        self._holdings.clear()
        return holdings

    def _end(self, holding: Holding, otherwise: Callable[[Lease], Job]) -> None:
        """End an attempt in the child's place, by why it was to stop, or else by the given verb."""
        self._tell_owner(holding)
        lease = holding.lease
        with bound_contextvars(**holding.facts):
            match holding.stop:
                case "cancel":  # the store turns the release of such a job into `cancelled`
                    self._attempts.end(lease, lambda: self._store.release(lease))
                case None:
                    self._attempts.end(lease, lambda: otherwise(lease))

    def _note_kill(self, holding: Holding) -> None:
        if holding.is_cancelled_late:
            level, text = "info", "Cancelled behind its last step, where it cannot stop; killing its process"
        else:
            level, text = "error", "The run does not stop; killing its process"
        with bound_contextvars(**holding.facts):
            _log.log(logging.getLevelNamesMapping()[level.upper()], text)
        holding.notes.append(Note(time.time(), level, holding.lease.attempt, text))

    def _tell_owner(self, holding: Holding) -> None:
        """Write notes down; while the store is away, they wait for the next beat."""
        if holding.notes:
            with suppress(StoreUnavailableError):
                self._store.annotate(holding.lease.job_id, list(holding.notes), time.time())
                holding.notes.clear()

    def _announce(self) -> None:
        self._store.announce(self._worker, self._rotation.queues, self._rotation.taken())

    def _say(self, say: Callable[[], None]) -> None:
        try:
            say()
        except JobsError as error:
            self._outage.meet(error)
        else:
            self._outage.is_over()


def main(arguments: Sequence[str]) -> None:
    """Keep the jobs of one child; see ``workers.lease.keeper_of``."""
    parser = ArgumentParser(prog="python -m workers.keeper", description=__doc__)
    parser.add_argument("--worker", required=True)
    parser.add_argument("--queues", required=True)
    parser.add_argument("--rotation", required=True, type=int, help="file descriptor of workers.rotation")
    parser.add_argument("--socket", required=True, type=int, help="file descriptor of a connected socket")
    parser.add_argument("--child", required=True, type=int, help="process id")
    options = parser.parse_args(arguments)
    settings = load_settings(WorkerSettings)
    configure_logging(settings, "keeper", worker=options.worker)
    keeper = Keeper(
        open_store(settings),
        Attempts(),
        options.worker,
        Rotation(options.queues.split(","), options.rotation),
        lease_seconds=settings.lease_seconds,
        grace_seconds=settings.cancel_grace_seconds,
        kill=lambda: os.kill(options.child, signal.SIGKILL),
    )
    death = Death(options.child)
    channel = Channel(socket(fileno=options.socket), send_seconds=_SEND_SECONDS)
    with closing(channel):
        keeper.serve(channel, death.describe)


if __name__ == "__main__":
    main(sys.argv[1:])
