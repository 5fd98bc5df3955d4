"""The numbers that the durability of a job hangs on."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """How long a lease lasts, how often a job is tried, and how long its record is kept."""

    lease_seconds: float = 30
    max_attempts: int = 3
    retention_seconds: float = 7 * 24 * 3600
    worker_silence_seconds: float = 60  # a worker not heard of for longer is not listed
