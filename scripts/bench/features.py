"""Submitting with everything on that a request can have, from many clients at a time."""

from __future__ import annotations

import time
from collections.abc import Iterator

from jobs.keys import Scope, create_key
from jobs.keys_redis import RedisKeyStore
from jobs.store_redis import connect
from scripts.bench import sample
from scripts.bench.client import UNIQUE, Rate, apply_load
from scripts.bench.gateway import SUBMIT, both, latencies
from scripts.bench.report import Figure
from scripts.bench.workspace import Workspace

CLIENTS = 64
ROUNDS = 5
ROUND_SECONDS = 3.0
MANY = "1000000000"  # each limit is looked at, and none is met
LIMITS = {
    "REQUESTS_PER_MINUTE": MANY,
    "GPU_SECONDS_PER_DAY": MANY,
    "TENANT_MAX_QUEUED": MANY,
    "TENANT_MAX_IN_PROGRESS": MANY,
}
WISHES = {
    "priority": "high",
    "expires_in": 86_400,
    "timeout": 3600,
    "reuse": True,
    "webhook_url": "https://hooks.example.com/videos",
}


def measure(workspace: Workspace) -> Iterator[Figure]:
    """An API key, rate limit, quota, caps, idempotency key, trace, priority, deadlines, reuse and webhook."""
    with both(workspace, **LIMITS) as (ours, plain, redis_url):
        with connect(redis_url) as redis:
            store, scopes = RedisKeyStore(redis), [Scope.SUBMIT]
            _, token = create_key(store, name="bench", tenant="bench", scopes=scopes, now=time.time())
        headers = {
            "authorization": f"Bearer {token}",
            "idempotency-key": UNIQUE,
            "traceparent": f"00-{UNIQUE}-b7ad6b7169203331-01",
            "x-request-id": UNIQUE,
        }
        rounds = [(_call(ours, headers, WISHES), _call(plain, {}, {})) for _ in range(ROUNDS + 1)][1:]
    yield from latencies(
        "submit with all features on", f"at {CLIENTS} clients", "plain app without any", rounds
    )


def _call(url: str, headers: dict[str, str], wishes: dict[str, object]) -> Rate:
    body = sample.body() | wishes
    return apply_load(url, "POST", SUBMIT, body, headers=headers, seconds=ROUND_SECONDS, connections=CLIENTS)
