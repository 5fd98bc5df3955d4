"""API keys in Redis.

P apikeys          HASH  id -> what a key is, JSON, written once
P apikeys:revoked  HASH  id -> Unix seconds
P apikeys:used     HASH  id -> Unix seconds
"""

from __future__ import annotations

import json
from typing import Any

from redis import Redis

from jobs.keys import ApiKey, KeyNotFoundError, Scope
from jobs.redis_errors import unavailable


class RedisKeyStore:
    """The KeyStore on a Redis-compatible server."""

    def __init__(self, redis: Redis, *, prefix: str = "wan:") -> None:
        self._redis = redis
        self._keys = f"{prefix}apikeys"
        self._revoked = f"{prefix}apikeys:revoked"
        self._used = f"{prefix}apikeys:used"

    def add(self, key: ApiKey) -> None:
        told = {
            "name": key.name,
            "tenant": key.tenant,
            "scopes": sorted(key.scopes),
            "digest": key.digest,
            "created": key.created_at,
        }
        with unavailable():
            self._redis.hset(self._keys, key.id, json.dumps(told))

    def get(self, key_id: str) -> ApiKey | None:
        with unavailable():
            reads = self._redis.pipeline(transaction=False)
            for kind in (self._keys, self._used, self._revoked):
                reads.hget(kind, key_id)
            told, used, revoked = reads.execute()
        return None if told is None else _key(key_id, told, used, revoked)

    def all(self) -> list[ApiKey]:
        with unavailable():
            reads = self._redis.pipeline()
            for kind in (self._keys, self._used, self._revoked):
                reads.hgetall(kind)
            told, used, revoked = reads.execute()
        keys = (_key(name.decode(), told[name], used.get(name), revoked.get(name)) for name in told)
        return sorted(keys, key=lambda key: (key.created_at, key.id))

    def is_empty(self) -> bool:
        with unavailable():
            return not self._redis.exists(self._keys)

    def revoke(self, key_id: str, at: float) -> ApiKey:
        if self.get(key_id) is None:
            raise KeyNotFoundError(key_id)
        with unavailable():
            self._redis.hsetnx(self._revoked, key_id, str(at))
        key = self.get(key_id)
        if key is None:
            raise KeyNotFoundError(key_id)
        return key

    def note_use(self, key_id: str, at: float) -> None:
        with unavailable():
            self._redis.hset(self._used, key_id, str(at))


def _key(key_id: str, told: Any, used: Any, revoked: Any) -> ApiKey:
    fields = json.loads(told)
    return ApiKey(
        id=key_id,
        name=fields["name"],
        tenant=fields["tenant"],
        scopes=frozenset(Scope(scope) for scope in fields["scopes"]),
        digest=fields["digest"],
        created_at=fields["created"],
        last_used_at=None if used is None else float(used),
        revoked_at=None if revoked is None else float(revoked),
    )
