"""What a simulation says, as numbers and as a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from rich.console import Console
from rich.table import Table

from scripts.simulate.fleet import Outcome, Scenario


@dataclass(frozen=True, slots=True)
class Waits:
    """Seconds from submit to start over one set of jobs."""

    jobs: int
    wait_mean: float
    wait_p50: float
    wait_p90: float
    wait_p99: float
    wait_max: float


@dataclass(frozen=True, slots=True)
class Report:
    """The whole fleet. ``utilisation`` is the share of all GPU time spent on jobs, loading models apart."""

    jobs: int
    servers: int
    seconds: float
    utilisation: float
    loading: float
    wait_mean: float
    wait_p50: float
    wait_p90: float
    wait_p99: float
    wait_max: float
    gpu_seconds_per_video: float
    cost_per_video: float | None
    queues: Mapping[str, Waits]

    def as_json(self) -> dict[str, object]:
        """The report as plain data."""
        return asdict(self)


def report(scenario: Scenario, outcome: Outcome, cost_per_gpu_hour: float | None) -> Report:
    """Sum an outcome up. All GPUs are paid for from the first arrival to the last end, idle or not."""
    queues = {queue: _waits(waits) for queue, waits in outcome.waits.items()}
    every = _waits([wait for waits in outcome.waits.values() for wait in waits])
    paid = len(scenario.servers) * outcome.seconds
    per_video = paid / every.jobs
    return Report(
        jobs=every.jobs,
        servers=len(scenario.servers),
        seconds=outcome.seconds,
        utilisation=outcome.busy_seconds / paid,
        loading=outcome.loading_seconds / paid,
        wait_mean=every.wait_mean,
        wait_p50=every.wait_p50,
        wait_p90=every.wait_p90,
        wait_p99=every.wait_p99,
        wait_max=every.wait_max,
        gpu_seconds_per_video=per_video,
        cost_per_video=None if cost_per_gpu_hour is None else per_video / 3600 * cost_per_gpu_hour,
        queues=queues,
    )


def print_report(result: Report) -> None:
    """Print it for people."""
    table = Table("queue", "jobs", "mean wait", "p50", "p90", "p99", "longest")
    for queue, waits in result.queues.items():
        seconds = (waits.wait_mean, waits.wait_p50, waits.wait_p90, waits.wait_p99, waits.wait_max)
        table.add_row(queue, f"{waits.jobs:,}", *(f"{value:,.1f} s" for value in seconds))
    console = Console()
    console.print(table)
    console.print(
        f"{result.servers:,} GPUs over {result.seconds / 3600:,.1f} h: {result.utilisation:.1%} busy, "
        f"{result.loading:.1%} loading models; {result.gpu_seconds_per_video:,.1f} GPU s a video"
        + ("" if result.cost_per_video is None else f", {result.cost_per_video:,.4f} each")
    )


def _waits(waits: Sequence[float]) -> Waits:
    ordered = sorted(waits) or [0.0]
    last = len(ordered) - 1
    p50, p90, p99 = (ordered[round(last * share)] for share in (0.5, 0.9, 0.99))
    return Waits(len(waits), sum(ordered) / len(ordered), p50, p90, p99, ordered[-1])
