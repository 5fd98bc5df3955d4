"""The numbers that the durability of a job, and the fairness among tenants, hang on."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Caps:
    """How many jobs a tenant may have queued, and in progress, over all queues; None is no cap."""

    queued: int | None = None
    in_progress: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """How long a lease lasts, how often a job is tried, and how long its record is kept.

    ``caps`` hold for every tenant that the store knows no others of.
    """

    lease_seconds: float = 30
    max_attempts: int = 3
    retention_seconds: float = 7 * 24 * 3600
    worker_silence_seconds: float = 60  # a worker not heard of for longer is not listed
    key_seconds: float = 24 * 3600  # how long an idempotency key is remembered
    reservation_seconds: float = 10  # and how long it is kept for a request whose gateway may have died
    caps: Caps = field(default_factory=Caps)
