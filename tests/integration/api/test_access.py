"""Who may call: keys and their scopes, and what a service without keys refuses."""

from dataclasses import replace

import pytest
from starlette.testclient import TestClient

from api.access import Access, Anonymous, anonymous_mode, is_loopback
from api.app import create_app
from api.exposure import ExposedError, check_exposure
from api.keyring import Keyring
from api.settings import GatewaySettings
from jobs.errors import StoreUnavailableError
from jobs.keys import Scope
from jobs.keys_memory import MemoryKeyStore
from tests.integration.api.conftest import BODY, parts_with, serving
from tests.integration.api.keys import acting, keyed, token

URL = "/generate/text-to-video"


class Away(MemoryKeyStore):
    """A key store that does not answer while ``away`` is set."""

    away = True

    def get(self, key_id):
        self._check()
        return super().get(key_id)

    def is_empty(self):
        self._check()
        return super().is_empty()

    def _check(self):
        if self.away:
            raise StoreUnavailableError("No answer from redis.internal:6379.")


@pytest.fixture
def keys() -> MemoryKeyStore:
    return MemoryKeyStore()


@pytest.fixture
def client(gateway, keys):
    with keyed(gateway, keys) as client:
        yield client


def code(answer) -> tuple[int, str]:
    return answer.status_code, answer.json()["error_type"]


def test_a_key_that_may_read_and_submit_makes_and_sees_jobs(client, keys):
    app = acting(client, token(keys, "acme"))
    job = app.post(URL, json=BODY).raise_for_status().json()
    assert app.get(f"/jobs/{job['id']}").json()["tenant"] == "acme"


def test_a_key_that_may_only_submit_sees_nothing(client, keys):
    assert code(acting(client, token(keys, "acme", Scope.SUBMIT)).get("/jobs")) == (403, "scope_missing")


def test_a_refusal_names_the_scope_in_the_words_of_the_bearer_standard(client, keys):
    answer = acting(client, token(keys, "acme", Scope.READ)).post(URL, json=BODY)
    assert answer.headers["www-authenticate"] == (
        'Bearer realm="wanserve", error="insufficient_scope", scope="submit"'
    )


@pytest.mark.parametrize(
    "header", ["Bearer", "Bearer EMPTY", "Basic d2s6", "wk_1", f"Bearer wk_{'0' * 12}_{'0' * 64}"]
)
def test_a_header_without_a_key_of_ours_opens_nothing(client, header):
    answer = client.get("/jobs", headers={"authorization": header})
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith('Bearer realm="wanserve"')


def test_the_secret_of_another_key_opens_nothing(client, keys):
    one, other = token(keys, "acme"), token(keys, "acme")
    mixed = one[: len("wk_") + 12] + other[len("wk_") + 12 :]
    assert code(acting(client, mixed).get("/jobs")) == (401, "invalid_api_key")


def test_the_kind_of_the_header_is_read_in_any_case(client, keys):
    assert client.get("/jobs", headers={"authorization": f"bearer {token(keys, 'acme')}"}).status_code == 200


def test_a_revoked_key_is_refused(client, keys):
    app = acting(client, token(keys, "acme"))
    assert app.get("/jobs").status_code == 200
    keys.revoke(keys.all()[0].id, 1)
    assert code(app.get("/jobs")) == (401, "invalid_api_key")


def test_using_a_key_is_noted(client, keys):
    assert keys.all() == []
    acting(client, token(keys, "acme")).get("/jobs")
    assert keys.all()[0].last_used_at is not None


def test_a_wrong_secret_is_no_use_of_the_key(client, keys):
    acting(client, token(keys, "acme")[:-64] + "0" * 64).get("/jobs")
    assert keys.all()[0].last_used_at is None


def test_while_the_keys_cannot_be_read_nobody_is_let_in(gateway, monkeypatch):
    monkeypatch.setattr("api.gate.ASKED_AGAIN_SECONDS", 0)
    keys = Away()
    app_token = token(keys, "acme")
    with keyed(gateway, keys) as client:
        refused = acting(client, app_token).get("/jobs")
        assert code(refused) == (503, "store_unavailable")
        assert "redis.internal" not in refused.text  # addresses are for the log
        keys.away = False
        assert acting(client, app_token).get("/jobs").status_code == 200


def test_while_the_keys_cannot_be_read_the_health_says_so_in_its_own_words(gateway, monkeypatch):
    keys = Away()
    app_token = token(keys, "acme")

    def ping(_: object) -> None:
        raise StoreUnavailableError("away")

    monkeypatch.setattr(type(gateway.store), "ping", ping)
    with keyed(gateway, keys) as client:
        health = acting(client, app_token).get("/health")
    assert health.status_code == 503
    assert (health.json()["status"], health.json()["store"]) == ("unavailable", "unavailable")


@pytest.fixture
def local(gateway, keys, tmp_path):
    """A gateway for this machine alone, as long as there are no keys."""
    access = Access(
        Keyring(keys, fresh_seconds=0),
        Anonymous.UNTIL_KEYS,
        public_url="https://wan.example/api",
        origins=["https://app.example"],
    )
    parts = parts_with(gateway.store, tmp_path, access=access)
    with serving(parts, tmp_path) as served:
        yield served.client


def test_without_keys_this_machine_is_served_and_placeholders_are_overlooked(local):
    job = local.post(URL, json=BODY, headers={"authorization": "Bearer EMPTY"}).json()
    assert local.get(f"/jobs/{job['id']}").json()["tenant"] == "default"


def test_without_keys_nobody_is_an_admin(local):
    assert local.get("/jobs?tenant=acme").status_code == 403


def test_the_first_key_ends_the_service_without_keys_and_its_revocation_does_not_bring_it_back(local, keys):
    assert local.get("/jobs").status_code == 200
    token(keys, "acme")
    assert local.get("/jobs").status_code == 401
    keys.revoke(keys.all()[0].id, 1)
    assert local.get("/jobs").status_code == 401


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "localhost:8004",
        "127.0.0.1:8004",
        "[::1]:8004",
        "192.168.1.2",
        "wan-service:8004",
        "a.localhost",
    ],
)
def test_without_keys_the_own_names_are_served(local, host):
    assert local.get("/jobs", headers={"host": host}).status_code == 200


def test_without_keys_the_host_of_the_public_url_is_served(local):
    assert local.get("/jobs", headers={"host": "WAN.example"}).status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8004", "localhost.evil.example", "127.0.0.1.nip.io", "", "x@y"]
)
def test_without_keys_a_name_that_may_be_anybodys_is_refused(local, host):
    assert code(local.get("/jobs", headers={"host": host})) == (403, "unknown_host")


@pytest.mark.parametrize(
    "origin",
    [
        "http://evil.example",
        "null",
        "",
        "http://localhost:3000",
        "https://wan.example.evil",
        "http://[::1",
        "//",
    ],
)
def test_without_keys_a_page_of_another_site_is_refused(local, origin):
    answer = local.post(URL, json=BODY, headers={"origin": origin, "host": "localhost:8004"})
    assert code(answer) == (403, "foreign_origin")


@pytest.mark.parametrize("origin", ["http://localhost:8004", "https://app.example", "https://wan.example"])
def test_without_keys_own_pages_and_listed_ones_are_served(local, origin):
    answer = local.get("/jobs", headers={"origin": origin, "host": "localhost:8004"})
    assert answer.status_code == 200


def test_without_keys_the_pages_of_a_public_address_with_a_port_are_served(gateway):
    access = Access(Keyring(MemoryKeyStore()), Anonymous.UNTIL_KEYS, public_url="https://Wan.example:8443")
    with TestClient(create_app(replace(gateway.parts, access=access))) as client:
        headers = {"origin": "https://wan.example:8443", "host": "wan.example:8443"}
        assert client.get("/jobs", headers=headers).status_code == 200
        behind_a_proxy = headers | {"host": "10.0.0.7:8004"}
        assert client.get("/jobs", headers=behind_a_proxy).status_code == 200
        assert client.get("/jobs", headers=headers | {"origin": "https://wan.example"}).status_code == 403


def test_a_key_may_be_used_by_any_name_and_from_any_page(client, keys):
    headers = {"host": "evil.example", "origin": "http://evil.example"}
    assert acting(client, token(keys, "acme")).get("/jobs", headers=headers).status_code == 200


def test_only_listed_origins_are_told_that_their_pages_may_read(gateway, keys, tmp_path):
    origin = {"origin": "https://app.example"}
    parts = parts_with(gateway.store, tmp_path, origins=["https://app.example"])
    with serving(parts, tmp_path) as open_to_app:
        refused = open_to_app.client.get("/jobs", headers=origin)
        assert refused.headers["access-control-allow-origin"] == "https://app.example"
        asking = {"access-control-request-method": "POST", "access-control-request-headers": "authorization"}
        allowed = open_to_app.client.options(URL, headers=origin | asking)
        assert allowed.headers["access-control-allow-origin"] == "https://app.example"
        assert allowed.headers["x-content-type-options"] == "nosniff"
        elsewhere = open_to_app.client.get("/jobs", headers={"origin": "https://evil.example"})
        assert "access-control-allow-origin" not in elsewhere.headers
    assert "access-control-allow-origin" not in gateway.client.get("/jobs", headers=origin).headers


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("10.0.0.1", False),
        ("gateway", False),
    ],
)
def test_only_this_machine_reaches_loopback(host, expected):
    assert is_loopback(host) is expected


@pytest.mark.parametrize(
    ("settings", "mode"),
    [
        ({}, Anonymous.UNTIL_KEYS),
        ({"host": "0.0.0.0"}, Anonymous.NEVER),
        ({"host": "0.0.0.0", "allow_anonymous": True}, Anonymous.ALWAYS),
    ],
)
def test_only_this_machine_needs_no_key_by_itself(settings, mode):
    assert anonymous_mode(GatewaySettings(**settings)) is mode


def test_listening_for_others_without_a_key_is_refused_with_both_ways_out(keys):
    with pytest.raises(ExposedError, match=r"wanserve keys create .* ALLOW_ANONYMOUS=true"):
        check_exposure(GatewaySettings(host="0.0.0.0"), keys)


def test_listening_for_others_takes_a_key_or_leave(keys):
    warning = check_exposure(GatewaySettings(host="0.0.0.0", allow_anonymous=True), keys)
    assert "whoever reaches" in (warning or "")
    token(keys, "acme")
    assert check_exposure(GatewaySettings(host="0.0.0.0"), keys) is None


def test_a_start_on_this_machine_says_that_nobody_else_is_served(keys):
    assert "serving this machine alone" in (check_exposure(GatewaySettings(), keys) or "")


def test_a_start_while_the_store_is_away_asks_for_keys(gateway):
    keys = Away()
    check_exposure(GatewaySettings(host="0.0.0.0"), keys)
    with keyed(gateway, keys) as client:
        assert client.get("/jobs").status_code == 401
