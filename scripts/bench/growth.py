"""Whether a long queue slows down those who submit, those who claim, and the estimates."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from statistics import median

from redis import Redis

from jobs.embedded import EmbeddedRedis
from jobs.policy import Policy
from jobs.state import Job, JobError, NewJob
from jobs.store_redis import RedisJobStore, connect
from scripts.bench import sample
from scripts.bench.report import Figure
from scripts.bench.workspace import Workspace

DEPTHS = (10, 1000, 100_000)
ROUNDS = 1000
LOOKS = 300
NOISE = 1.25  # two runs of the same code differ by as much on a busy machine


class Line:
    """A queue of constant depth: each round adds one job behind, and takes one from the front."""

    def __init__(self, redis: Redis, depth: int) -> None:
        self.depth = depth
        self.submit_seconds: list[float] = []
        self.claim_seconds: list[float] = []
        self.outlook_seconds: list[float] = []
        self._claimed: Job | None = None
        self._store = RedisJobStore(redis, Policy(), prefix=f"wan{depth}:")
        for _ in range(depth):
            self._submit(sample.new_job())

    def turn(self) -> None:
        """One timed round."""
        new = sample.new_job()
        self.submit_seconds.append(_seconds(lambda: self._submit(new)))
        self.claim_seconds.append(_seconds(self._claim))
        self._end()

    def look(self) -> None:
        """Read once what estimates are made from, as a gateway does about once a second."""
        self.outlook_seconds.append(_seconds(lambda: self._store.outlook(sample.TASK)))

    def _submit(self, new: NewJob) -> None:
        self._store.submit(new)

    def _claim(self) -> None:
        self._claimed = self._store.claim(sample.TASK, "gpu0@bench")

    def _end(self) -> None:
        if self._claimed:
            self._store.fail(self._claimed.lease, JobError("bench", "It was measured."))


def measure(workspace: Workspace) -> Iterator[Figure]:
    """Fill one queue of each depth in the same Redis, then let them take turns."""
    with EmbeddedRedis(workspace.directory()) as server, connect(server.url) as redis:
        lines = [Line(redis, depth) for depth in DEPTHS]
        for _ in range(ROUNDS):
            for line in lines:
                line.turn()
        for _ in range(LOOKS):
            for line in lines:
                line.look()
    yield from _figures("submit", lines, lambda line: line.submit_seconds)
    yield from _figures("claim", lines, lambda line: line.claim_seconds)
    # Ten jobs are less to tell, and 100,000 do not fit the caches of the processor.
    outlooks = _figures("outlook", lines[1:], lambda line: line.outlook_seconds, most=2, goal="at most 2")
    yield from outlooks


def _figures(
    verb: str,
    lines: list[Line],
    times: Callable[[Line], list[float]],
    *,
    most: float = NOISE,
    goal: str = "flat within noise",
) -> Iterator[Figure]:
    shortest = median(times(lines[0]))
    for line in lines[1:]:
        taken = median(times(line))
        yield Figure(
            what=f"{verb} with {line.depth:,} queued, p50",
            measured=f"{taken * 1e6:.0f} µs",
            against=f"{shortest * 1e6:.0f} µs with {lines[0].depth:,}",
            ratio=taken / shortest,
            goal=goal,
            met=taken / shortest < most,
        )


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start
