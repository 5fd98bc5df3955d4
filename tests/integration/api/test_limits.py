"""Limits: what a key may do in a minute, and how a client is told."""

from dataclasses import replace
from typing import Any

import pytest
from starlette.testclient import TestClient

from api.admission import Admissions
from api.app import create_app
from api.limiter import Limiter
from api.names import new_job_id
from jobs.keys_memory import MemoryKeyStore
from jobs.limits import Limits, LimitStore
from jobs.policy import Policy
from jobs.state import NewJob
from jobs.store_redis import RedisJobStore, connect
from tests.integration.api.conftest import BODY, unlimited
from tests.integration.api.keys import access_with, acting, token

URL = "/generate/text-to-video"
NOW = 1_763_000_000.0


class Clock:
    time = NOW

    def __call__(self) -> float:
        return self.time


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
    assert gateway.submitted == []


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


def submitting(gateway, keys, *, limits=None, queue_length=None):
    """A client of a gateway under these conditions, for tenant acme."""
    admissions = Admissions(gateway.parts.load, queue_length)
    limiter = Limiter(unlimited(), limits or Limits())
    app = create_app(replace(gateway.parts, access=access_with(keys), limiter=limiter, admissions=admissions))
    return acting(TestClient(app, raise_server_exceptions=False), token(keys, "acme"))


def test_a_full_queue_takes_no_more(gateway, keys):
    app = submitting(gateway, keys, queue_length=1)
    first = app.post(URL, json=BODY).raise_for_status().json()
    refused = app.post(URL, json=BODY)
    assert (refused.status_code, refused.json()["error_type"]) == (429, "queue_full")
    assert refused.headers["retry-after"] == "30"
    app.post(f"/jobs/{first['id']}/cancel").raise_for_status()
    assert app.post(URL, json=BODY).status_code == 202


def test_a_job_that_would_expire_in_the_queue_is_refused_at_once(gateway, keys):
    gateway.store.announce("worker-1", ["t2v-A14B"])
    clock = Clock()
    store = RedisJobStore(gateway.store._redis, Policy(), clock=clock)
    store.submit(NewJob(id=new_job_id(), queue="t2v-A14B", spec={}))
    claimed = store.claim("t2v-A14B", "worker-1")
    assert claimed is not None
    clock.time += 60
    store.succeed(claimed.lease, {})
    app = submitting(gateway, keys)
    for _ in range(2):
        app.post(URL, json=BODY).raise_for_status()
    refused = app.post(URL, json=BODY | {"expires_in": 119})
    assert (refused.status_code, refused.json()["error_type"]) == (429, "wait_too_long")
    assert refused.json()["errors"][0]["field"] == "expires_in"
    assert app.post(URL, json=BODY | {"expires_in": 180}).status_code == 202
    assert app.post(URL, json=BODY | {"expires_in": 1, "priority": "high"}).status_code == 202


def test_a_tenant_that_used_up_its_gpu_time_waits_for_the_next_day(gateway, keys):
    app = submitting(gateway, keys, limits=Limits(gpu_seconds_per_day=0))
    refused = app.post(URL, json=BODY)
    assert (refused.status_code, refused.json()["error_type"]) == (429, "gpu_time_spent")
    assert 0 < int(refused.headers["retry-after"]) <= 24 * 3600
    assert gateway.submitted == []


def test_a_repetition_is_answered_even_when_nothing_new_is_taken(gateway, keys):
    app = submitting(gateway, keys, queue_length=1)
    once = {"idempotency-key": "once"}
    first = app.post(URL, json=BODY, headers=once).raise_for_status().json()
    again = app.post(URL, json=BODY, headers=once)
    assert (again.status_code, again.json()["id"]) == (202, first["id"])
