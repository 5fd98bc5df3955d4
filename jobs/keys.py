"""API keys: who may call, for which tenant, and to do what."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from typing import Protocol

from jobs.errors import JobsError

SECRET_BYTES = 32
TENANT_PATTERN = "^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$"  # it becomes a part of keys and of paths
_TOKEN = rf"wk_([0-9a-f]{{12}})_([0-9a-f]{{{2 * SECRET_BYTES}}})"


class Scope(StrEnum):
    """What a key allows."""

    READ = "read"  # to see the tenant's jobs and videos
    SUBMIT = "submit"  # to make, cancel and delete them
    ADMIN = "admin"  # all of it, for every tenant


class KeyNotFoundError(JobsError):
    """No key has this id."""

    def __init__(self, key_id: str) -> None:
        super().__init__(f"There is no key {key_id}.")


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """A key as it is kept. Times are Unix seconds.

    Of the secret only the SHA-256 is kept. A slow, salted hash protects secrets that people choose, by
    making each guess dear; among 2**256 random ones there is nothing to guess, and the fast hash is
    computed at every request.

    Raises:
        ValueError: the tenant is no name for one.
    """

    id: str
    name: str
    tenant: str
    scopes: frozenset[Scope]
    digest: str
    created_at: float
    last_used_at: float | None = None  # to the minute
    revoked_at: float | None = None

    def __post_init__(self) -> None:
        if not re.fullmatch(TENANT_PATTERN, self.tenant):
            raise ValueError(
                f"{self.tenant!r} names no tenant: 1 to 64 letters, digits, '_', '.' or '-', "
                "beginning with a letter or a digit."
            )

    def admits(self, secret: str) -> bool:
        """Whether this is the key's secret, and the key still good. Takes as long for any wrong secret."""
        return secrets.compare_digest(digest_of(secret), self.digest) and self.revoked_at is None


class KeyStore(Protocol):
    """Where keys live. Revoked ones stay, so that a service that once had keys never opens again.

    Every method raises StoreUnavailableError when the store cannot be reached.
    """

    def add(self, key: ApiKey) -> None:
        """Keep a new key."""
        ...

    def get(self, key_id: str) -> ApiKey | None:
        """The key of an id, revoked or not, or None."""
        ...

    def all(self) -> list[ApiKey]:
        """Every key, oldest first."""
        ...

    def is_empty(self) -> bool:
        """Whether no key was ever made."""
        ...

    def revoke(self, key_id: str, at: float) -> ApiKey:
        """End a key for good. Doing it twice is the same as once.

        Raises:
            KeyNotFoundError: there is none of this id.
        """
        ...

    def note_use(self, key_id: str, at: float) -> None:
        """Write down when the key was last used."""
        ...


def create_key(
    store: KeyStore, *, name: str, tenant: str, scopes: Iterable[Scope], now: float
) -> tuple[ApiKey, str]:
    """Make a key and keep it; with it comes the token for the client, which nothing can show again.

    Raises:
        ValueError: the tenant is no name for one.
    """
    secret = secrets.token_hex(SECRET_BYTES)
    key = ApiKey(
        id=secrets.token_hex(6),
        name=name,
        tenant=tenant,
        scopes=frozenset(scopes),
        digest=digest_of(secret),
        created_at=now,
    )
    store.add(key)
    return key, f"wk_{key.id}_{secret}"


def parse_token(token: str) -> tuple[str, str] | None:
    """The id and the secret of a token, or None when it is none of ours."""
    found = re.fullmatch(_TOKEN, token)
    return (found[1], found[2]) if found else None


def digest_of(secret: str) -> str:
    """What is kept of a secret."""
    return sha256(secret.encode()).hexdigest()
