"""Everything that the service keeps in Redis, as of one moment, to be put back elsewhere."""

from __future__ import annotations

import time
from base64 import b64decode, b64encode
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, Self, TypeVar

from redis import Redis
from redis.exceptions import ResponseError

from jobs.errors import JobsError
from jobs.redis_errors import unavailable
from jobs.state import Json

T = TypeVar("T")

PREFIX = "wan:"
_BATCH = 500
_READ_SECONDS = 600.0  # the server answers once it has copied everything

# One script is one moment: no job moves while it runs. Only Redis 7 knows PEXPIRETIME.
_READ_ALL = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local entries = { tostring(now) }
for _, key in ipairs(redis.call('KEYS', ARGV[1] .. '*')) do
  local left = redis.call('PTTL', key)
  local expires = left >= 0 and string.format('%d', now + left) or ''
  entries[#entries + 1] = { key, expires, redis.call('DUMP', key) }
end
return entries
"""


class SnapshotError(JobsError):
    """The server cannot take a record back. The message says why."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One key: its value as Redis itself writes it down, and when it goes, in Unix milliseconds, if ever."""

    key: bytes
    value: bytes
    expires_at: int | None = None

    def told(self) -> Json:
        """The entry as JSON."""
        value = b64encode(self.value).decode()
        return {"key": self.key.decode(), "expires_at": self.expires_at, "value": value}

    @classmethod
    def read(cls, told: Json) -> Self:
        """The entry that ``told`` wrote."""
        return cls(told["key"].encode(), b64decode(told["value"]), told["expires_at"])


class Snapshots:
    """Copies all keys of the service out of a Redis, and into one.

    Celery's messages are not among them: they only wake workers, and the relay sends what is missing.

    Args:
        url: the server, as redis-py takes it.
    """

    def __init__(self, url: str) -> None:
        self._redis = Redis.from_url(url, socket_timeout=_READ_SECONDS)

    def close(self) -> None:
        """Let go of the connections."""
        self._redis.close()

    def read(self) -> tuple[float, list[Entry]]:
        """Everything, as of one moment, which comes first, in Unix seconds. The server pauses for it.

        Raises:
            StoreUnavailableError: the server does not answer.
        """
        with unavailable():
            moment, *entries = self._run(_READ_ALL)
        return int(moment) / 1000, [
            Entry(key, value, int(expires) if expires else None) for key, expires, value in sorted(entries)
        ]

    def is_empty(self) -> bool:
        """Whether there is no key of the service.

        Raises:
            StoreUnavailableError: the server does not answer.
        """
        with unavailable():
            return next(self._keys(), None) is None

    def clear(self) -> None:
        """Remove every key of the service, and nothing else.

        Raises:
            StoreUnavailableError: the server does not answer.
        """
        with unavailable():
            for keys in _batches(self._keys()):
                self._redis.unlink(*keys)

    def write(self, entries: Iterable[Entry]) -> int:
        """Put entries where none of their keys is, and say how many are there now; what expired is left out.

        Raises:
            SnapshotError: a key is there already, or the server is older than the one that was copied.
            StoreUnavailableError: the server does not answer.
        """
        now = time.time() * 1000
        written = 0
        live = (entry for entry in entries if entry.expires_at is None or entry.expires_at > now)
        for batch in _batches(live):
            with unavailable(), self._redis.pipeline(transaction=False) as writes:
                for entry in batch:
                    writes.restore(
                        entry.key, entry.expires_at or 0, entry.value, absttl=entry.expires_at is not None
                    )
                try:
                    writes.execute()
                except ResponseError as error:
                    raise SnapshotError(f"Redis does not take a record back: {error}") from error
            written += len(batch)
        return written

    def _run(self, script: str) -> Any:
        return self._redis.eval(script, 0, PREFIX)

    def _keys(self) -> Iterator[bytes]:
        found: Iterator[bytes] = self._redis.scan_iter(match=f"{PREFIX}*", count=_BATCH)
        return found


def _batches(items: Iterable[T]) -> Iterator[list[T]]:
    rest = iter(items)
    while batch := list(islice(rest, _BATCH)):
        yield batch
