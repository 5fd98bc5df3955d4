"""Stand-ins for what surrounds a worker: a clock, a store that can be away, a keeper without a process."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from jobs.errors import StoreUnavailableError
from jobs.policy import Policy
from jobs.state import Job, JobError, Json, Lease, NewJob, Note, Progress
from jobs.store import JobStore
from jobs.store_memory import MemoryJobStore
from wan_models.bodies import TextToVideo
from wan_models.catalog import CATALOG
from wan_models.request import resolve
from workers.attempts import Attempts
from workers.channel import Message
from workers.keeper import Keeper
from workers.lease import Hold, LeaseKeeper
from workers.rotation import Rotation

PATIENCE_SECONDS = 20.0
QUEUE = "t2v-A14B"


class Clock:
    """A clock that stands still until it is moved. ``sleep`` moves it, and may run what happens meanwhile."""

    def __init__(self) -> None:
        self.time = 1_763_000_000.0
        self.meanwhile: Callable[[], None] | None = None

    def __call__(self) -> float:
        return self.time

    def monotonic(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.time += seconds
        if self.meanwhile:
            self.meanwhile()


class FlakyStore(MemoryJobStore):
    """Job records in memory; while ``away``, a worker's verbs cannot be reached."""

    def __init__(self, policy: Policy, clock: Callable[[], float] = time.time) -> None:
        super().__init__(policy, clock)
        self.away = False

    def heartbeat(self, lease: Lease, progress: Progress | None = None) -> bool:
        self._answer()
        return super().heartbeat(lease, progress)

    def succeed(self, lease: Lease, result: Json) -> Job:
        self._answer()
        return super().succeed(lease, result)

    def retry(self, lease: Lease, error: JobError, delay: float = 0) -> Job:
        self._answer()
        return super().retry(lease, error, delay)

    def annotate(self, job_id: str, notes: Sequence[Note], sent_at: float) -> None:
        self._answer()
        super().annotate(job_id, notes, sent_at)

    def announce(self, worker: str, queues: Any, taken: Any = None) -> None:
        self._answer()
        super().announce(worker, queues, taken)

    def retire(self, worker: str) -> None:
        self._answer()
        super().retire(worker)

    def _answer(self) -> None:
        if self.away:
            raise StoreUnavailableError("The store is away.")


class DirectKeeper(LeaseKeeper):
    """A keeper without its process: it acts on every message at once."""

    def __init__(self, store: JobStore, clock: Clock) -> None:
        super().__init__([])
        self.is_there = True
        self.killed = 0
        self.dropped: list[Lease] = []
        self.keeper = Keeper(
            store,
            Attempts(patience_seconds=0),
            "w1",
            Rotation([QUEUE]),
            lease_seconds=30,
            grace_seconds=10,
            kill=self._kill,
            clock=clock,
        )
        self._stops: list[Message] = []

    def wait(self) -> bool:
        return self.is_there

    def drop(self, held: Hold) -> None:
        super().drop(held)
        self.dropped.append(held.lease)

    def _tell(self, message: Message) -> None:
        self.keeper.take(message)
        self._stops += self.keeper.look()

    def _listen(self) -> list[Message]:
        stops, self._stops = self._stops, []
        return stops

    def _kill(self) -> None:
        self.killed += 1


def new_job(number: int = 1, *, steps: int = 4, **changes: Any) -> NewJob:
    """A small text-to-video job, whose seed is its number."""
    body = TextToVideo(prompt="a cat", size="64*64", frame_num=5, sample_steps=steps, base_seed=number)
    spec = resolve(body, CATALOG[QUEUE], tiny=True).model_dump(mode="json")
    named: dict[str, Any] = {"id": f"job_{number:04}", "queue": QUEUE, "spec": spec, "steps": steps}
    return NewJob(**(named | changes))


def until(condition: Callable[[], Any], seconds: float = PATIENCE_SECONDS) -> Any:
    """What the condition gives once it gives something."""
    give_up_at = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < give_up_at, f"Waited {seconds:.0f} s in vain."
        time.sleep(0.01)
    return found
