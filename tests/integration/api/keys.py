"""Gateways that ask for keys."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from starlette.testclient import TestClient

from api.access import Access, Anonymous
from api.app import create_app
from api.keyring import Keyring
from jobs.keys import KeyStore, Scope, create_key
from jobs.keys_memory import MemoryKeyStore
from tests.integration.api.conftest import Gateway


def token(keys: KeyStore, tenant: str, *scopes: Scope) -> str:
    """A new key's token; without scopes it may read and submit."""
    granted = scopes or (Scope.READ, Scope.SUBMIT)
    return create_key(keys, name="test", tenant=tenant, scopes=granted, now=0)[1]


def access_with(keys: KeyStore) -> Access:
    """Takes these keys and nobody without."""
    return Access(Keyring(keys, fresh_seconds=0), Anonymous.NEVER)


@contextmanager
def keyed(gateway: Gateway, keys: KeyStore | None = None) -> Iterator[TestClient]:
    """The same gateway, reachable from everywhere, which takes keys. The client comes without one."""
    app = create_app(replace(gateway.parts, access=access_with(keys or MemoryKeyStore())))
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client


def acting(client: TestClient, token: str) -> TestClient:
    """A client of the same gateway that sends this token."""
    return TestClient(client.app, headers={"authorization": f"Bearer {token}"}, raise_server_exceptions=False)
