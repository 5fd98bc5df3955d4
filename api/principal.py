"""Who a request comes from."""

from __future__ import annotations

from dataclasses import dataclass, field

from starlette.requests import HTTPConnection

from jobs.keys import ApiKey, Scope
from jobs.limits import Limits

_SCOPE_KEY = "wanserve.principal"


@dataclass(frozen=True, slots=True)
class Principal:
    """On whose behalf a request is made, what it may do, and how much of it. ``id`` is that of its key."""

    id: str
    tenant: str
    scopes: frozenset[Scope]
    limits: Limits = field(default_factory=Limits)

    def may(self, scope: Scope) -> bool:
        """Whether its key allows this; an admin's allows all."""
        return scope in self.scopes or Scope.ADMIN in self.scopes


ANONYMOUS = Principal("anonymous", "default", frozenset({Scope.READ, Scope.SUBMIT}))
"""Whoever calls a service that asks for no key."""

NOBODY = Principal("nobody", "-", frozenset())
"""Whoever asks for what is open to all. No tenant can have this name."""


def holder_of(key: ApiKey) -> Principal:
    """The principal of a key."""
    return Principal(key.id, key.tenant, key.scopes)


def introduce(connection: HTTPConnection, principal: Principal) -> None:
    """Note whose request it is."""
    connection.scope[_SCOPE_KEY] = principal


def principal_of(connection: HTTPConnection) -> Principal:
    """Whose request it is. What a tenant owns must be looked up under ``principal_of(request).tenant``."""
    principal: Principal = connection.scope.get(_SCOPE_KEY, NOBODY)
    return principal
