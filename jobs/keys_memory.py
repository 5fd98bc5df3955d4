"""API keys in this process: the reference that the Redis store is held to, and a store for unit tests."""

from __future__ import annotations

from dataclasses import replace

from jobs.keys import ApiKey, KeyNotFoundError


class MemoryKeyStore:
    """The KeyStore as a dictionary."""

    def __init__(self) -> None:
        self._keys: dict[str, ApiKey] = {}

    def add(self, key: ApiKey) -> None:
        self._keys[key.id] = key

    def get(self, key_id: str) -> ApiKey | None:
        return self._keys.get(key_id)

    def all(self) -> list[ApiKey]:
        return sorted(self._keys.values(), key=lambda key: (key.created_at, key.id))

    def is_empty(self) -> bool:
        return not self._keys

    def revoke(self, key_id: str, at: float) -> ApiKey:
        if key_id not in self._keys:
            raise KeyNotFoundError(key_id)
        key = self._keys[key_id]
        if key.revoked_at is None:
            self._keys[key_id] = replace(key, revoked_at=at)
        return self._keys[key_id]

    def note_use(self, key_id: str, at: float) -> None:
        if key_id in self._keys:
            self._keys[key_id] = replace(self._keys[key_id], last_used_at=at)
