"""Programs that are kept running: started, watched, restarted when they die, and stopped together."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from threading import Event

from jobs.lifetime import KEEPER_VARIABLE

_FIRST_DELAY_SECONDS = 1.0
_LONGEST_DELAY_SECONDS = 60.0
_HEALTHY_AFTER_SECONDS = 60.0  # having run so long, a program's next death is a first one again
_WATCH_SECONDS = 0.2

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Program:
    """What to run: a name for the log, the command, and what to change in the environment."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)


class KeptProcess:
    """One program and its process. A program that keeps dying is restarted ever more slowly."""

    def __init__(self, program: Program) -> None:
        self._program = program
        self._process: subprocess.Popen[bytes] | None = None
        self._started_at = 0.0
        self._start_at = 0.0
        self._delay = _FIRST_DELAY_SECONDS

    def keep(self) -> None:
        """Start the program if it is due, or note that it died."""
        now = time.monotonic()
        if self._process is None:
            if now >= self._start_at:
                self._start(now)
        elif (code := self._process.poll()) is not None:
            if now - self._started_at > _HEALTHY_AFTER_SECONDS:
                self._delay = _FIRST_DELAY_SECONDS
            self._process, self._start_at = None, now + self._delay
            _log.error("%s ended with %s; starting it again in %.0f s", self._program.name, code, self._delay)
            self._delay = min(self._delay * 2, _LONGEST_DELAY_SECONDS)

    def signal(self, number: int) -> None:
        """Send a signal, unless the process has ended."""
        if self._process and self._process.poll() is None:
            self._process.send_signal(number)

    def wait(self, seconds: float) -> None:
        """Wait for the end of the process; past the time, kill its process group."""
        if self._process is None:
            return
        try:
            self._process.wait(max(0.0, seconds))
        except subprocess.TimeoutExpired:
            _log.warning("%s does not stop; killing it", self._program.name)
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def _start(self, now: float) -> None:
        # A session of its own: Ctrl-C in a terminal reaches the keeper alone, which then stops all in order.
        self._process = subprocess.Popen(  # noqa: S603 - the command is the caller's own
            self._program.command,
            env=os.environ | self._program.environment | {KEEPER_VARIABLE: str(os.getpid())},
            start_new_session=True,
        )
        self._started_at = now
        _log.info("Started %s, process %d", self._program.name, self._process.pid)


class ProcessKeeper:
    """Keeps several programs running until it is told to stop."""

    def __init__(self, programs: Sequence[Program], *, stop_seconds: float) -> None:
        self._kept = [KeptProcess(program) for program in programs]
        self._stop_seconds = stop_seconds

    def run(self, stopped: Event, meanwhile: Iterable[Callable[[], None]] = ()) -> None:
        """Keep all of them running until ``stopped`` is set, then end them: SIGTERM, then SIGKILL.

        Each of ``meanwhile`` is called at every look, some times a second.
        """
        try:
            while not stopped.wait(_WATCH_SECONDS):
                for duty in meanwhile:
                    duty()
                for kept in self._kept:
                    kept.keep()
        finally:
            for kept in self._kept:
                kept.signal(signal.SIGTERM)
            deadline = time.monotonic() + self._stop_seconds
            for kept in self._kept:
                kept.wait(deadline - time.monotonic())


def stop_on_signals(stopped: Event) -> None:
    """Have Ctrl-C, SIGTERM and a closed terminal set the event."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: stopped.set())
