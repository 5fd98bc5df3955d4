"""WebSockets that are refused: before they open, with the same problem that a request would get."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect as open_socket

from api.limiter import Limiter
from jobs.keys import Scope
from jobs.keys_memory import MemoryKeyStore
from jobs.limits import Limits, LimitStore
from jobs.store_redis import connect as connect_redis
from tests.integration.api.conftest import Gateway, parts_with
from tests.integration.api.keys import access_with, token
from tests.integration.api.live import listening

UNKNOWN = "/ws/jobs/job_01arz3ndektsv4rrffq69g5fav"


@dataclass
class Live:
    """A gateway that takes keys, each of which may make so many requests a minute."""

    url: str
    keys: MemoryKeyStore

    def denied(self, path: str, key: str | None) -> tuple[int, dict[str, Any], dict[str, str]]:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        with pytest.raises(InvalidStatus) as denied:
            open_socket(f"{self.url}{path}", additional_headers=headers, open_timeout=60)
        answer = denied.value.response
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["x-request-id"]
        return answer.status_code, json.loads(answer.body or b""), dict(answer.headers.raw_items())


@pytest.fixture
def live(gateway: Gateway, redis_url: str, tmp_path: Path) -> Iterator[Live]:
    keys = MemoryKeyStore()
    limiter = Limiter(LimitStore(connect_redis(redis_url)), Limits(requests_per_minute=2))
    parts = parts_with(gateway.store, tmp_path, access=access_with(keys), limiter=limiter)
    with listening(parts) as server:
        yield Live(f"ws://127.0.0.1:{server.address[1]}", keys)


def test_without_a_key(live):
    status, problem, headers = live.denied(UNKNOWN, None)
    assert (status, problem["error_type"]) == (401, "key_required")
    assert headers["www-authenticate"] == 'Bearer realm="wanserve"'


def test_with_a_key_that_may_not_read(live):
    key = token(live.keys, "acme", Scope.SUBMIT)
    status, problem, _ = live.denied(UNKNOWN, key)
    assert (status, problem["error_type"]) == (403, "scope_missing")


@pytest.mark.parametrize("path", [UNKNOWN, "/ws/jobs/nonsense", "/ws/jobs/%00%ff"])
def test_of_a_job_that_does_not_exist(live, path):
    status, problem, headers = live.denied(path, token(live.keys, "acme"))
    assert (status, problem["error_type"]) == (404, "job_not_found")
    assert headers["ratelimit"].startswith('"default";r=1;')


@pytest.mark.parametrize(
    "path", ["/ws", "/ws/jobs", "/jobs/job_01arz3ndektsv4rrffq69g5fav", "/health/live", "/"]
)
def test_of_an_address_that_has_none(live, path):
    status, problem, _ = live.denied(path, token(live.keys, "acme"))
    assert (status, problem["error_type"]) == (404, "not_found")
    assert problem["detail"].startswith("No WebSocket is served at this address")


@pytest.mark.parametrize("query", ["after=x", "after=-1", "after=1e400", "after=1&after=2"])
def test_with_a_place_that_is_none(live, query):
    status, problem, _ = live.denied(f"{UNKNOWN}?{query}", token(live.keys, "acme"))
    assert (status, problem["errors"][0]["field"]) == (422, "after")


def test_beyond_the_limit(live):
    key = token(live.keys, "acme")
    for _ in range(2):
        live.denied(UNKNOWN, key)
    status, problem, headers = live.denied(UNKNOWN, key)
    assert (status, problem["error_type"]) == (429, "too_many_requests")
    assert int(headers["retry-after"]) > 0
