"""How long jobs may wait and run that do not say so: by their task, as operators decided or the catalog."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from wan_models.catalog import CATALOG, ModelSpec

LONGEST_SECONDS = 365 * 24 * 3600.0


class Deadline(NamedTuple):
    """Seconds that a job waits for its first start at most, and that one attempt may take."""

    expires_in: float
    timeout: float


@dataclass(frozen=True, slots=True)
class Deadlines:
    """What the operator decided, in seconds by task."""

    expires_in: Mapping[str, float] = field(default_factory=dict)
    timeout: Mapping[str, float] = field(default_factory=dict)

    def of(self, spec: ModelSpec) -> Deadline:
        """The defaults of a task's jobs."""
        return Deadline(
            self.expires_in.get(spec.id, spec.expires_in), self.timeout.get(spec.id, spec.timeout)
        )


def seconds_by_task(text: str | None) -> dict[str, float]:
    """Read ``3600``, for every task, or ``t2v-A14B=3600, s2v-14B=7200``.

    Raises:
        ValueError: it is neither.
    """
    if not text:
        return {}
    if "=" not in text:
        return dict.fromkeys(CATALOG, _seconds(text))
    entries = [entry.partition("=") for entry in text.split(",")]
    return {_task(task.strip()): _seconds(seconds) for task, _, seconds in entries}


def _task(name: str) -> str:
    if name not in CATALOG:
        raise ValueError(f"There is no task {name!r}; there are {', '.join(CATALOG)}.")
    return name


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0
    if not 1 <= seconds <= LONGEST_SECONDS:
        raise ValueError("Write a number of seconds, from 1 to a year, or task=seconds, with commas between.")
    return seconds
