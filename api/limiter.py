"""Holds each key to the requests that its tenant may make."""

from __future__ import annotations

import time
from collections.abc import Callable

from starlette.concurrency import run_in_threadpool

from api.principal import Principal
from api.remembered import Remembered
from jobs.limits import WINDOW_SECONDS, Allowance, Limits, LimitStore

FRESH_SECONDS = 2


class Limiter:
    """The limits as a gateway remembers them; only requests that are limited cost a look into the store.

    Args:
        store: where limits and buckets are.
        usual: what tenants without limits of their own have.
        fresh_seconds: how long a reading of a tenant's limits is good for.
        clock: seconds from any starting point.
    """

    def __init__(
        self,
        store: LimitStore,
        usual: Limits,
        fresh_seconds: float = FRESH_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._usual = usual
        self._known = Remembered(self._read, fresh_seconds, clock)

    async def of(self, tenant: str) -> Limits:
        """A tenant's limits.

        Raises:
            StoreUnavailableError: they have to be read, and cannot be.
        """
        return await self._known.get(tenant)

    async def take(self, principal: Principal) -> Allowance | None:
        """Count one request, or None where there is no limit.

        Raises:
            StoreUnavailableError: it has to be counted, and cannot be.
        """
        limit = principal.limits.requests_per_minute
        if limit is None:
            return None
        return await run_in_threadpool(self._store.take, principal.id, limit)

    def _read(self, tenant: str) -> Limits:
        return self._store.of(tenant) or self._usual


def rate_headers(allowance: Allowance) -> dict[str, str]:
    """What a client should know of its limit (draft-ietf-httpapi-ratelimit-headers, since its 10th draft)."""
    return {
        "ratelimit-policy": f'"default";q={allowance.limit};w={WINDOW_SECONDS}',
        "ratelimit": f'"default";r={allowance.remaining};t={allowance.full_seconds}',
    }
