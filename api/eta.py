"""How long a run takes, how long one will still take, and how often to ask: pure functions."""

from __future__ import annotations

from collections.abc import Mapping

from jobs.outlook import Size
from jobs.state import ANY_KIND, Pace

LONGEST_POLL_SECONDS = 10
POLLS_PER_JOB = 20  # a client that polls as told sees a job about so often until it ends


def run_seconds(size: Size, paces: Mapping[str, Pace]) -> float | None:
    """Seconds from claim to success: by others of its kind and its own steps, or else as long as any job."""
    pace = paces.get(size.pace_key) or paces.get(ANY_KIND)
    return pace.seconds(size.steps) if pace else None


def run_seconds_left(size: Size, step: int, elapsed: float, paces: Mapping[str, Pace]) -> float | None:
    """Seconds that a running job still takes: the steps that are left, and what is left of all the rest.

    Args:
        size: the job's.
        step: how many steps it has taken.
        elapsed: seconds since its claim.
        paces: what its queue has learned; where that is nothing of such jobs, its own steps tell.
    """
    pace = paces.get(size.pace_key) or paces.get(ANY_KIND)
    steps_left = max(0, size.steps - step)
    if step and steps_left and not (pace and pace.per_step):
        return steps_left * elapsed / step
    if pace is None:
        return None
    rest_spent = min(pace.rest, max(0.0, elapsed - step * pace.per_step))
    return steps_left * pace.per_step + pace.rest - rest_spent


def poll_seconds(eta: int | None) -> int:
    """A sensible wait before asking again, for the Retry-After header: 1 to 10 seconds."""
    return min(LONGEST_POLL_SECONDS, max(1, (eta or 0) // POLLS_PER_JOB))
