"""One suite for every KeyStore: what is kept of a key, and what ends one."""

import pytest

from jobs.keys import ApiKey, KeyNotFoundError, KeyStore, Scope, create_key, digest_of, parse_token
from jobs.keys_memory import MemoryKeyStore
from jobs.keys_redis import RedisKeyStore
from jobs.store_redis import connect

NOW = 1_763_000_000.0


@pytest.fixture(params=["memory", "redis"])
def keys(request) -> KeyStore:
    if request.param == "memory":
        return MemoryKeyStore()
    return RedisKeyStore(connect(request.getfixturevalue("redis_url")))


def made(keys: KeyStore, name: str = "app", at: float = NOW) -> tuple[ApiKey, str]:
    return create_key(keys, name=name, tenant="acme", scopes=[Scope.READ, Scope.SUBMIT], now=at)


def test_a_key_is_found_as_it_was_made(keys):
    key, _ = made(keys)
    found = keys.get(key.id)
    assert found == key
    assert (found.name, found.tenant, found.scopes) == ("app", "acme", {"read", "submit"})
    assert (found.created_at, found.last_used_at, found.revoked_at) == (NOW, None, None)


def test_an_unknown_id_finds_nothing(keys):
    assert keys.get("0" * 12) is None


def test_the_token_has_the_id_and_the_secret_that_the_key_admits(keys):
    key, token = made(keys)
    parsed = parse_token(token)
    assert parsed is not None
    key_id, secret = parsed
    assert key_id == key.id
    assert key.admits(secret)
    assert not key.admits("0" * 64)
    assert not key.admits(key.digest)


def test_the_secret_is_not_kept(keys):
    key, token = made(keys)
    secret = token.rsplit("_", 1)[1]
    assert secret not in repr(key)
    assert key.digest == digest_of(secret)
    if isinstance(keys, RedisKeyStore):
        assert secret not in str(keys._redis.hvals("wan:apikeys"))


def test_keys_are_listed_oldest_first(keys):
    newer, older = made(keys, "newer", NOW + 1)[0], made(keys, "older")[0]
    assert keys.all() == [older, newer]


def test_a_revoked_key_admits_nobody_and_stays_listed(keys):
    key, token = made(keys)
    revoked = keys.revoke(key.id, NOW + 5)
    assert revoked.revoked_at == NOW + 5
    assert not revoked.admits(token.rsplit("_", 1)[1])
    assert keys.all() == [revoked] == [keys.get(key.id)]


def test_a_second_revocation_changes_nothing(keys):
    key, _ = made(keys)
    assert keys.revoke(key.id, NOW + 5) == keys.revoke(key.id, NOW + 9)


def test_a_key_that_does_not_exist_cannot_be_revoked(keys):
    with pytest.raises(KeyNotFoundError, match="no key 123"):
        keys.revoke("123", NOW)


def test_the_last_use_is_kept(keys):
    key, _ = made(keys)
    keys.note_use(key.id, NOW + 7)
    found = keys.get(key.id)
    assert found is not None
    assert found.last_used_at == NOW + 7


def test_only_the_first_key_ends_the_emptiness_and_no_revocation_brings_it_back(keys):
    assert keys.is_empty()
    key, _ = made(keys)
    assert not keys.is_empty()
    keys.revoke(key.id, NOW)
    assert not keys.is_empty()


@pytest.mark.parametrize("tenant", ["", "*", "a:b", "a/b", "..", ".a", "-", "é", "x" * 65, "a\n"])
def test_a_tenant_has_a_name_that_can_be_a_part_of_keys_and_paths(tenant):
    with pytest.raises(ValueError, match="names no tenant"):
        create_key(MemoryKeyStore(), name="app", tenant=tenant, scopes=[], now=NOW)


@pytest.mark.parametrize(
    "token", ["", "EMPTY", "wk_", f"wk_{'0' * 12}_{'0' * 63}", f"wk_{'0' * 12}_{'0' * 64}\n"]
)
def test_a_token_of_another_shape_is_none_of_ours(token):
    assert parse_token(token) is None
