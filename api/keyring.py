"""The API keys as a gateway remembers them, so that most requests need not ask the store."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

from starlette.concurrency import run_in_threadpool

from api.remembered import Remembered
from jobs.errors import StoreUnavailableError
from jobs.keys import ApiKey, KeyStore

FRESH_SECONDS = 2
USE_NOTED_SECONDS = 60


class Keyring:
    """Keys read from the store, each again once it has grown old: a revoked one works for that long.

    Args:
        store: where the keys are.
        fresh_seconds: how long a reading is good for.
        clock: Unix seconds.
    """

    def __init__(
        self, store: KeyStore, fresh_seconds: float = FRESH_SECONDS, clock: Callable[[], float] = time.time
    ) -> None:
        self._store = store
        self._fresh_seconds = fresh_seconds
        self._clock = clock
        self._known: Remembered[ApiKey | None] = Remembered(store.get, fresh_seconds, clock)
        self._empty: bool | None = None
        self._empty_until = float("-inf")

    async def find(self, key_id: str) -> ApiKey | None:
        """The key of an id, revoked or not, or None. Made-up ids are not remembered: there is no end of them.

        Raises:
            StoreUnavailableError: it has to be read, and cannot be.
        """
        return await self._known.get(key_id)

    async def note_use(self, key: ApiKey) -> None:
        """Write down that a key is in use, at most once a minute.

        Raises:
            StoreUnavailableError: it cannot be written.
        """
        now = self._clock()
        if key.last_used_at is None or now - key.last_used_at >= USE_NOTED_SECONDS:
            self._known.put(key.id, replace(key, last_used_at=now))
            await run_in_threadpool(self._store.note_use, key.id, now)

    async def is_empty(self) -> bool:
        """Whether no key was ever made. Once one was, this is never true again.

        Raises:
            StoreUnavailableError: it was never known, and cannot be looked up.
        """
        if self._empty is False or (self._empty and self._clock() < self._empty_until):
            return self._empty
        self._empty_until = self._clock() + self._fresh_seconds
        try:
            self._empty = await run_in_threadpool(self._store.is_empty)
        except StoreUnavailableError:
            if self._empty is None:
                raise
        return bool(self._empty)
