"""Holding jobs, seen from the process that runs them: a keeper process renews, and says when to stop."""

from __future__ import annotations

import logging
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import astuple
from threading import Event, Lock, Thread
from types import MappingProxyType, TracebackType
from typing import Self

from structlog.contextvars import get_contextvars

from jobs.state import Lease, Note, Progress
from wan_models.errors import GenerationStoppedError
from workers.channel import Channel, Message
from workers.rotation import Rotation

_SEND_SECONDS = 10.0  # a keeper that takes nothing for so long is replaced
_CLOSE_SECONDS = 10.0
_RESTART_SECONDS = 0.2
_START_SECONDS = 10.0
_LOOK_SECONDS = 0.02

_log = logging.getLogger(__name__)


class CancelRequestedError(GenerationStoppedError):
    """The client asked for this job to be cancelled."""


class HoldLostError(GenerationStoppedError):
    """The lease ran out or went to another attempt: nothing this run does counts any more."""

    goes_on = True


FINISHING = frozenset({"encoding", "uploading"})
"""The stages of a job that is done with the device."""

PAST_STEPS = FINISHING | {"decoding"}
"""The stages behind the last step, where there is none to stop at."""

AT_WORK = "renew"
"""What a keeper says that it does, once it does it."""

STOPS: Mapping[str, type[GenerationStoppedError]] = MappingProxyType(
    {"cancel": CancelRequestedError, "lost": HoldLostError}
)
"""What a run raises for each reason that the keeper may give for stopping it."""


class Hold:
    """One job that this process holds. It is told of progress, and tells when to stop.

    ``facts`` are what log lines say of the job, here and in the keeper: what was bound when it was taken.
    """

    def __init__(self, lease: Lease, keeper: LeaseKeeper) -> None:
        self.lease = lease
        self.facts = get_contextvars()
        self.stop: GenerationStoppedError | None = None
        self._keeper = keeper
        self._progress = Progress()
        self._preview = 0
        self._at_end = ExitStack()

    def report(self, stage: str, step: int | None = None, steps: int | None = None) -> None:
        """Note progress in the record. A stage without steps keeps those of the last.

        Raises:
            GenerationStoppedError: the run should stop; the subclass says why.
        """
        last = self._progress
        self._progress = Progress(
            stage,
            last.step if step is None else step,
            last.steps if steps is None else steps,
            self._preview,
        )
        self._keeper.report(self, self._progress)
        if self.stop:
            raise self.stop

    def note_preview(self, step: int) -> None:
        """Have the next report tell of a picture that was taken behind a step; from any thread."""
        self._preview = step

    def at_end(self, callback: Callable[[], object]) -> None:
        """Have something done before the attempt ends, however it ends."""
        self._at_end.callback(callback)

    def settle(self) -> None:
        """Do what is to be done before the attempt ends."""
        self._at_end.close()


class LeaseKeeper:
    """The keeper process, which is kept running for as long as the context lasts.

    It renews every lease that this process holds, also while one call into a library keeps Python's
    lock for minutes; and it outlives this process, to end the attempts that die with it.

    Args:
        command: starts a keeper; ``--socket`` and ``--child`` are added.
        inherited: file descriptors that the command names.
    """

    def __init__(self, command: Sequence[str], inherited: Sequence[int] = ()) -> None:
        self._command = command
        self._inherited = inherited
        self._holds: dict[Lease, Hold] = {}
        self._lock = Lock()
        self._closing = Event()
        self._serves = False

    def __enter__(self) -> Self:
        with self._lock:
            self._start()
        self._watcher = Thread(target=self._watch, name="keeper-watch", daemon=True)
        self._watcher.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.set()
        self._tell({"do": "leave"})
        try:
            self._process.wait(_CLOSE_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
        self._watcher.join()
        self._channel.close()

    def wait(self) -> bool:
        """Wait for a keeper that starts, for some seconds; whether it is at work.

        A lease taken before may be over before it is renewed: a busy machine starts no process at once.
        """
        give_up_at = time.monotonic() + _START_SECONDS
        while not self._serves and time.monotonic() < give_up_at:
            with self._lock:
                self._listen()
            time.sleep(_LOOK_SECONDS)
        return self._serves

    def hold(self, lease: Lease) -> Hold:
        """Have a lease renewed."""
        held = Hold(lease, self)
        with self._lock:
            self._holds[lease] = held
        self._tell(_message("hold", lease, facts=held.facts))
        return held

    def drop(self, held: Hold) -> None:
        """Have a lease renewed no longer; its attempt has ended."""
        with self._lock:
            self._holds.pop(held.lease, None)
        self._tell(_message("drop", held.lease))

    def note(self, lease: Lease, note: Note) -> None:
        """Have the owner of a job told something."""
        self._tell(_message("note", lease, note=astuple(note)))

    def report(self, held: Hold, progress: Progress) -> None:
        """Pass progress on, and learn which runs should stop."""
        self._tell(_message("report", held.lease, progress=astuple(progress)))
        with self._lock:
            for message in self._listen():
                if stopped := self._holds.get(Lease(message["job"], held.lease.worker, message["attempt"])):
                    stopped.stop = STOPS[message["stop"]](message["why"])

    def _tell(self, message: Message) -> None:
        with self._lock:
            try:
                self._channel.send(message)
            except TimeoutError:
                _log.error("The keeper takes no messages; replacing it")
                self._process.kill()
            except OSError:
                pass  # it died; the watch starts another one, and tells it of every job

    def _listen(self) -> list[Message]:
        """What the keeper says of runs that should stop; its first words are that it is at work."""
        try:
            messages = self._channel.receive(0)
        except EOFError:
            return []  # as above
        self._serves = self._serves or any(message.get("do") == AT_WORK for message in messages)
        return [message for message in messages if "stop" in message]

    def _start(self) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            fd = theirs.fileno()
            self._process = subprocess.Popen(  # noqa: S603 - our own program
                [*self._command, "--socket", str(fd), "--child", str(os.getpid())],
                pass_fds=[fd, *self._inherited],
                start_new_session=True,  # whatever is sent to this process group, it has jobs to put back
            )
        self._channel = Channel(ours, send_seconds=_SEND_SECONDS)

    def _watch(self) -> None:
        while True:
            code = self._process.wait()
            self._serves = False
            if self._closing.wait(_RESTART_SECONDS):
                return
            _log.error("The keeper ended with %d; starting another one", code)
            with self._lock:
                self._channel.close()
                self._start()
                holds = list(self._holds.values())
            for held in holds:
                self._tell(_message("hold", held.lease, facts=held.facts))


def _message(what: str, lease: Lease, **more: object) -> Message:
    return {"do": what, "job": lease.job_id, "attempt": lease.attempt, **more}


def keeper_of(worker: str, rotation: Rotation) -> LeaseKeeper:
    """The keeper of a worker. It reads the same settings as the worker."""
    options = {"worker": worker, "queues": ",".join(rotation.queues), "rotation": str(rotation.descriptor)}
    named = [word for name, value in options.items() for word in (f"--{name}", value)]
    return LeaseKeeper([sys.executable, "-m", "workers.keeper", *named], [rotation.descriptor])
