"""What an estimate of a queue is made from: what runs, what stands in line, what waits to be tried again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from jobs.line import Place
from jobs.state import Pace

FIRST = 100
"""So many jobs from the front of the line are told, all of them."""

TENANTS, EACH = 32, 8
"""Where caps hold jobs back, so many of the first tenants in line are looked at, and of each so many jobs."""

SAMPLES = 200
"""So many of the other jobs stand for all of them."""

RUNS = 1000
"""At most so many running jobs are told."""


@dataclass(frozen=True, slots=True)
class Size:
    """How much work a job is: its pace key and its steps."""

    pace_key: str
    steps: int


@dataclass(frozen=True, slots=True)
class RunningJob:
    """A job that a worker has; ``step`` of its steps are taken, and times are Unix seconds."""

    worker: str
    tenant: str
    size: Size
    step: int
    started_at: float


@dataclass(frozen=True, slots=True)
class WaitingJob:
    """A queued job: its place in line, or the one it will have once its ``not_before`` is over."""

    place: Place
    size: Size
    not_before: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """One queue at one moment.

    ``line`` has all jobs in line, in their order, as long as there are no more than ``FIRST``. Of a longer
    one it has the first, and if there are caps some of each of the first tenants as well. ``length`` counts
    all of them, and ``waiting`` each tenant's, where ``line`` has any. ``samples`` are the sizes of some of
    those behind ``FIRST``, evenly spread. ``caps`` are those on jobs in progress of tenants that have one.
    """

    running: tuple[RunningJob, ...] = ()
    line: tuple[WaitingJob, ...] = ()
    delayed: tuple[WaitingJob, ...] = ()
    length: int = 0
    waiting: Mapping[str, int] = field(default_factory=dict)
    samples: tuple[Size, ...] = ()
    caps: Mapping[str, int] = field(default_factory=dict)
    paces: Mapping[str, Pace] = field(default_factory=dict)
