"""The keyring: keys are read once in a while, and news of them are not missed for long."""

import asyncio

import pytest

from api.keyring import Keyring
from jobs.errors import StoreUnavailableError
from jobs.keys import ApiKey, Scope, create_key
from jobs.keys_memory import MemoryKeyStore


class CountingStore(MemoryKeyStore):
    def __init__(self) -> None:
        super().__init__()
        self.reads = 0
        self.away = False

    def get(self, key_id):
        self._count()
        return super().get(key_id)

    def is_empty(self):
        self._count()
        return super().is_empty()

    def _count(self):
        self.reads += 1
        if self.away:
            raise StoreUnavailableError("away")


class Clock:
    time = 1000.0

    def __call__(self) -> float:
        return self.time


@pytest.fixture
def store() -> CountingStore:
    return CountingStore()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def keyring(store, clock) -> Keyring:
    return Keyring(store, fresh_seconds=2, clock=clock)


def made(store) -> ApiKey:
    return create_key(store, name="app", tenant="acme", scopes=[Scope.READ], now=0)[0]


def find(keyring, key_id):
    return asyncio.run(keyring.find(key_id))


def test_a_key_is_read_once_while_it_is_fresh(keyring, store):
    key = made(store)
    assert find(keyring, key.id) == find(keyring, key.id) == key
    assert store.reads == 1


def test_a_revocation_is_known_once_the_reading_is_old(keyring, store, clock):
    key = made(store)
    find(keyring, key.id)
    store.revoke(key.id, 1)
    clock.time += 2
    assert find(keyring, key.id).revoked_at == 1


def test_one_request_reads_again_while_others_go_on_with_what_is_known(keyring, store, clock):
    key = made(store)
    find(keyring, key.id)
    clock.time += 2

    async def many():
        return await asyncio.gather(*(keyring.find(key.id) for _ in range(20)))

    assert asyncio.run(many()) == [key] * 20
    assert store.reads == 2


def test_ids_that_nobody_has_are_not_remembered(keyring, store):
    assert find(keyring, "0" * 12) is None
    assert keyring._known._known == {}


def test_a_key_that_cannot_be_read_again_is_forgotten(keyring, store, clock):
    key = made(store)
    find(keyring, key.id)
    clock.time += 2
    store.away = True
    for _ in range(2):
        with pytest.raises(StoreUnavailableError):
            find(keyring, key.id)


def test_a_use_is_noted_at_most_once_a_minute(keyring, store, clock):
    key = made(store)

    def use() -> None:
        asyncio.run(keyring.note_use(find(keyring, key.id)))

    for _ in range(3):
        use()
        clock.time += 29
    assert store.all()[0].last_used_at == 1000
    use()
    assert store.all()[0].last_used_at == 1087


def test_emptiness_is_looked_up_once_in_a_while_and_over_for_good_with_the_first_key(keyring, store, clock):
    def is_empty():
        return asyncio.run(keyring.is_empty())

    assert (is_empty(), is_empty()) == (True, True)
    assert store.reads == 1
    made(store)
    assert is_empty()
    clock.time += 2
    assert not is_empty()
    clock.time += 1000
    assert not is_empty()
    assert store.reads == 2


def test_emptiness_that_was_never_known_is_not_assumed(keyring, store, clock):
    store.away = True
    with pytest.raises(StoreUnavailableError):
        asyncio.run(keyring.is_empty())
    store.away = False
    assert asyncio.run(keyring.is_empty())
    store.away = True
    clock.time += 2
    assert asyncio.run(keyring.is_empty())
