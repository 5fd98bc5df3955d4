"""Limits: what a key may do in a minute, and how a client is told."""

from dataclasses import replace
from typing import Any

import pytest
from starlette.testclient import TestClient

from api.app import create_app
from api.limiter import Limiter
from jobs.keys_memory import MemoryKeyStore
from jobs.limits import Limits, LimitStore
from jobs.store_redis import connect
from tests.integration.api.conftest import BODY
from tests.integration.api.keys import access_with, acting, token

NOW = 1_763_000_000.0


@pytest.fixture
def keys() -> MemoryKeyStore:
    return MemoryKeyStore()


@pytest.fixture
def limits(redis_url) -> LimitStore:
    return LimitStore(connect(redis_url), clock=lambda: NOW)


@pytest.fixture
def client(gateway, keys, limits):
    """A gateway that allows three requests a minute, and that notices changes at once."""
    limiter = Limiter(limits, Limits(requests_per_minute=3), fresh_seconds=0)
    app = create_app(replace(gateway.parts, access=access_with(keys), limiter=limiter))
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client


def told(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.headers["ratelimit"]


def test_every_answer_tells_what_is_left_and_the_last_one_when_there_is_more(client, keys):
    app = acting(client, token(keys, "acme"))
    assert told(app.get("/jobs")) == (200, '"default";r=2;t=20')
    assert told(app.get("/jobs/none")) == (404, '"default";r=1;t=40')
    assert told(app.post("/generate/text-to-video", json=BODY)) == (202, '"default";r=0;t=60')
    refused = app.get("/jobs")
    assert told(refused) == (429, '"default";r=0;t=60')
    assert refused.headers["ratelimit-policy"] == '"default";q=3;w=60'
    assert refused.headers["retry-after"] == "20"
    assert refused.json()["error_type"] == "too_many_requests"
    assert refused.json()["detail"] == "This key may make 3 requests a minute. Try again in 20 seconds."


def test_each_key_has_its_own_requests(client, keys):
    one, other = acting(client, token(keys, "acme")), acting(client, token(keys, "acme"))
    for _ in range(4):
        one.get("/jobs")
    assert told(other.get("/jobs")) == (200, '"default";r=2;t=20')


def test_a_refused_submit_makes_no_job(client, keys, gateway):
    app = acting(client, token(keys, "acme"))
    for _ in range(3):
        app.get("/jobs")
    assert app.post("/generate/text-to-video", json=BODY).status_code == 429
    assert gateway.nudged == []


def test_a_tenant_may_have_a_limit_of_its_own_or_none(client, keys, limits):
    app = acting(client, token(keys, "acme"))
    limits.give("acme", Limits(requests_per_minute=100))
    assert told(app.get("/jobs")) == (200, '"default";r=99;t=1')
    limits.give("acme", Limits())
    assert "ratelimit" not in app.get("/jobs").headers


def test_what_is_open_to_all_and_what_has_no_key_is_not_counted(client):
    for _ in range(5):
        assert client.get("/health/live").status_code == 200
        assert client.get("/jobs").status_code == 401
