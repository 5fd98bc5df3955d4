"""What a tenant may use: requests by the minute, GPU time by the day, jobs at a time. Kept in Redis.

P limits          HASH    tenant -> its own limits, JSON
P rate:{bucket}   STRING  when the bucket is full again, Unix milliseconds; gone once it is
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from importlib.resources import files
from math import ceil
from typing import Any

from redis import Redis

from jobs.policy import Caps
from jobs.redis_errors import unavailable

WINDOW_SECONDS = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much there is of each; None is no limit.

    Raises:
        ValueError: a limit is negative, or no request would be allowed.
    """

    requests_per_minute: int | None = None  # by each key
    gpu_seconds_per_day: float | None = None  # of a day in UTC
    queued: int | None = None  # at a time, over all queues
    in_progress: int | None = None  # the same

    def __post_init__(self) -> None:
        if self.requests_per_minute is not None and self.requests_per_minute < 1:
            raise ValueError("requests_per_minute is at least 1; to end a key's use, revoke it.")
        for name in ("gpu_seconds_per_day", "queued", "in_progress"):
            if (getattr(self, name) or 0) < 0:
                raise ValueError(f"{name} is at least 0.")

    @property
    def caps(self) -> Caps:
        """The part that the job store holds a tenant to by itself."""
        return Caps(queued=self.queued, in_progress=self.in_progress)


@dataclass(frozen=True, slots=True)
class Allowance:
    """How a bucket stands after a request: so many more at once, and all of ``limit`` again after a while.

    Seconds are rounded up. ``retry_seconds`` is None where the request was within the limit.
    """

    limit: int
    remaining: int
    full_seconds: int
    retry_seconds: int | None


class LimitStore:
    """The limits of each tenant, and the buckets that its keys' requests are taken from.

    Every method raises StoreUnavailableError when Redis cannot be reached. ``clock`` replaces the server's
    clock, in Unix seconds; production leaves it out.
    """

    def __init__(
        self, redis: Redis, *, prefix: str = "wan:", clock: Callable[[], float] | None = None
    ) -> None:
        self._redis = redis
        self._prefix = prefix
        self._clock = clock
        self._script = redis.register_script(files("jobs").joinpath("rate.lua").read_text(encoding="utf-8"))

    def of(self, tenant: str) -> Limits | None:
        """A tenant's own limits, or None when it has those of everybody."""
        with unavailable():
            told = self._redis.hget(f"{self._prefix}limits", tenant)
        return Limits(**json.loads(told)) if told else None

    def all(self) -> Mapping[str, Limits]:
        """Every tenant that has limits of its own."""
        with unavailable():
            told: Any = self._redis.hgetall(f"{self._prefix}limits")
        return {name.decode(): Limits(**json.loads(told[name])) for name in sorted(told)}

    def give(self, tenant: str, limits: Limits | None) -> None:
        """Give a tenant limits of its own, or with None those of everybody."""
        with unavailable():
            if limits is None:
                self._redis.hdel(f"{self._prefix}limits", tenant)
            else:
                self._redis.hset(f"{self._prefix}limits", tenant, json.dumps(asdict(limits)))

    def take(self, bucket: str, limit: int) -> Allowance:
        """Take one request from a bucket that holds ``limit`` and fills within a minute."""
        now = "" if self._clock is None else round(self._clock() * 1000)
        with unavailable():
            remaining, full, retry = self._script(
                keys=[f"{self._prefix}rate:{bucket}"], args=[now, limit, WINDOW_SECONDS * 1000]
            )
        return Allowance(limit, remaining, _up(full), None if retry < 0 else max(1, _up(retry)))


def _up(milliseconds: int) -> int:
    return ceil(milliseconds / 1000)
