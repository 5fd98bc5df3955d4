"""Refusals as the openai client shows them to its user."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import openai
import pytest

from api.limiter import Limiter
from jobs.keys import Scope
from jobs.keys_memory import MemoryKeyStore
from jobs.limits import Limits, LimitStore
from jobs.store_redis import connect
from tests.integration.api.conftest import Gateway, parts_with
from tests.integration.api.keys import access_with, token
from tests.integration.api.live import listening


@pytest.fixture
def keys() -> MemoryKeyStore:
    return MemoryKeyStore()


@pytest.fixture
def url(gateway: Gateway, keys: MemoryKeyStore, redis_url: str, tmp_path: Path) -> Iterator[str]:
    limiter = Limiter(LimitStore(connect(redis_url)), Limits(requests_per_minute=1))
    parts = parts_with(gateway.store, tmp_path, access=access_with(keys), limiter=limiter)
    with listening(parts) as server:
        yield f"http://127.0.0.1:{server.address[1]}"


def client(url: str, key: str) -> openai.OpenAI:
    return openai.OpenAI(base_url=url, api_key=key, max_retries=0)


def test_a_wrong_key(url):
    with pytest.raises(openai.AuthenticationError) as refused, client(url, "sk-of-another-service") as app:
        app.get("/jobs", cast_to=object)
    assert refused.value.code == "invalid_api_key"
    assert "The API key is not valid" in str(refused.value)
    assert refused.value.request_id


def test_a_key_without_the_scope(url, keys):
    key = token(keys, "acme", Scope.READ)
    with pytest.raises(openai.PermissionDeniedError) as refused, client(url, key) as app:
        app.post("/generate/text-to-video", cast_to=object, body={"prompt": "a cat"})
    assert (refused.value.code, refused.value.type) == ("scope_missing", "invalid_request_error")


def test_too_many_requests(url, keys):
    with client(url, token(keys, "acme")) as app:
        app.get("/jobs", cast_to=object)
        with pytest.raises(openai.RateLimitError, match="may make 1 requests a minute") as refused:
            app.get("/jobs", cast_to=object)
    assert refused.value.response.headers["retry-after"] == "60"


def test_a_field_that_is_wrong(url, keys):
    with pytest.raises(openai.UnprocessableEntityError) as refused, client(url, token(keys, "acme")) as app:
        app.post("/generate/text-to-video", cast_to=object, body={"prompt": "a cat", "fps": 0})
    assert refused.value.param == "fps"
    assert "fps: Input should be greater" in str(refused.value)
