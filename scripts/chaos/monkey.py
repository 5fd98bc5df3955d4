"""The monkey: at random moments it kills, pauses, drops or doubles something, and notes when and whom."""

from __future__ import annotations

import random
import signal
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from threading import Event, Timer

import psutil
from redis import Redis
from redis.exceptions import RedisError

from scripts.chaos.fleet import Fleet, Member

_PAUSE_SECONDS = (1.0, 4.0)  # between two deeds


@dataclass(frozen=True, slots=True)
class Blow:
    """A moment (Unix seconds) from which the jobs of a machine could not go on."""

    at: float
    machine: str


class Monkey:
    """Works on a fleet until it is told to stop. ``lease_seconds`` tells it what a long pause is."""

    def __init__(self, fleet: Fleet, queue: str, lease_seconds: float, chance: random.Random) -> None:
        self._fleet = fleet
        self._queue = queue
        self._lease_seconds = lease_seconds
        self._chance = chance
        self._redis = Redis.from_url(fleet.redis_url, socket_timeout=2)
        self.blows: list[Blow] = []
        self.deeds: Counter[str] = Counter()

    def run(self, stopped: Event) -> None:
        """Do one deed after another: first each once, in any order, then what chance says."""
        deeds: list[tuple[int, Callable[[], None]]] = [
            (6, self.kill_child),
            (3, self.kill_worker),
            (2, self.kill_machine),
            (2, self.kill_gateway),
            (1, self.kill_redis),
            (2, self.pause_machine),
            (2, self.double_messages),
            (2, self.drop_messages),
        ]
        weights, works = zip(*deeds, strict=True)
        undone = self._chance.sample(works, len(works))
        while not stopped.wait(self._chance.uniform(*_PAUSE_SECONDS)):
            deed = undone.pop() if undone else self._chance.choices(works, weights)[0]
            with suppress(psutil.NoSuchProcess, RedisError):
                deed()
                self.deeds[deed.__name__] += 1

    def kill_child(self) -> None:
        """SIGKILL a process that holds a device and runs jobs."""
        machine = self._machine()
        self._kill(machine, [process for process in machine.tree() if _is_child(process)])

    def kill_worker(self) -> None:
        """SIGKILL the Celery parent of a worker."""
        machine = self._machine()
        self._kill(machine, [process for process in machine.tree() if _is_worker(process)][:1])

    def kill_machine(self) -> None:
        """SIGKILL everything of a machine at once, as a power cut does."""
        machine = self._machine()
        self._kill(machine, machine.tree())

    def kill_gateway(self) -> None:
        """SIGKILL one of the gateways."""
        for process in self._chance.choice(self._fleet.gateways).tree():
            process.kill()

    def kill_redis(self) -> None:
        """SIGKILL Redis."""
        self._fleet.kill_redis()

    def pause_machine(self) -> None:
        """Stop a machine's processes until its leases are over, then let them go on."""
        machine = self._machine()
        processes = machine.tree()
        self._note(machine)
        for process in processes:
            with suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGSTOP)
        Timer(self._lease_seconds * 1.5, _resume, [processes]).start()

    def double_messages(self) -> None:
        """Send every waiting message again."""
        for message in self._redis.lrange(self._queue, 0, -1):
            self._redis.lpush(self._queue, message)

    def drop_messages(self) -> None:
        """Lose every other waiting message."""
        for message in self._redis.lrange(self._queue, 0, -1)[::2]:
            self._redis.lrem(self._queue, 1, message)  # type: ignore[arg-type] # bytes are fine

    def _machine(self) -> Member:
        return self._chance.choice(self._fleet.machines)

    def _kill(self, machine: Member, processes: list[psutil.Process]) -> None:
        if processes:
            self._note(machine)
        for process in processes:
            with suppress(psutil.NoSuchProcess):
                process.kill()

    def _note(self, machine: Member) -> None:
        self.blows.append(Blow(time.time(), machine.name))


def _resume(processes: list[psutil.Process]) -> None:
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.send_signal(signal.SIGCONT)


def _is_worker(process: psutil.Process) -> bool:
    """Whether this is a worker's Celery parent or its child, which shows the same command line."""
    return "workers.worker" in process.cmdline()


def _is_child(process: psutil.Process) -> bool:
    parent = process.parent()
    return _is_worker(process) and parent is not None and _is_worker(parent)
