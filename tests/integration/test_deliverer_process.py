"""``python -m workers.deliver`` as it is run: a process of its own, killed in the middle of its work."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from redis import Redis

from jobs.policy import Policy
from jobs.state import NewJob
from jobs.store_redis import RedisJobStore, connect
from jobs.webhook_store import WebhookStore
from jobs.webhooks import DeliveryState, Hook
from tests.receiver import Receiver, receiving

ENDPOINT = "whe_1"


@pytest.fixture
def redis(redis_url: str) -> Iterator[Redis]:
    with connect(redis_url) as redis:
        yield redis


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


@contextmanager
def deliverer(redis_url: str) -> Iterator[subprocess.Popen[bytes]]:
    """A deliverer process, ended in order unless a test has killed it."""
    environment = os.environ | {
        "REDIS_URL": redis_url,
        "WEBHOOK_PRIVATE_HOSTS": "127.0.0.1",
        "WEBHOOK_SECONDS": "15",
        "LOG_LEVEL": "WARNING",
    }
    with subprocess.Popen([sys.executable, "-m", "workers.deliver"], env=environment) as process:
        try:
            yield process
        finally:
            process.send_signal(signal.SIGTERM)


def kill(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()


def let_leases_run_out(redis: Redis) -> None:
    """As half a minute would."""
    for pattern in ("wan:flying:*", "wan:flights:*", "wan:receivers:*", "wan:tenants:*"):
        for key in redis.scan_iter(pattern):
            members: Any = redis.zrange(key, 0, -1)
            redis.zadd(key, dict.fromkeys(members, 1), xx=True)


def cancelled_jobs(redis: Redis, count: int, hook: Hook | None = None) -> list[str]:
    """Jobs that went through two transitions each."""
    store, ids = RedisJobStore(redis, Policy()), [f"job_{number:03}" for number in range(count)]
    for job_id in ids:
        store.submit(NewJob(id=job_id, queue="q", spec={}, hook=hook))
        store.cancel(job_id)
    return ids


def test_what_happened_while_no_deliverer_ran_is_told_by_the_next(redis, redis_url, receiver):
    cancelled_jobs(redis, 1, Hook(f"{receiver.url}/ok", frozenset({"queued", "cancelled"})))
    with deliverer(redis_url):
        told = {receiver.next().headers["webhook-id"] for _ in range(2)}
    assert told == {"evt_000_1", "evt_000_2"}


def test_an_attempt_that_died_with_its_deliverer_is_made_again(redis, redis_url, receiver):
    cancelled_jobs(redis, 1, Hook(f"{receiver.url}/hang", frozenset({"cancelled"})))
    with deliverer(redis_url) as doomed:
        first = receiver.next()
        kill(doomed)
    receiver.released.set()
    with deliverer(redis_url):
        let_leases_run_out(redis)
        second = receiver.next()
    assert (second.headers["webhook-id"], second.body) == (first.headers["webhook-id"], first.body)
    (delivery,) = WebhookStore(redis).deliveries("default", "default")
    assert (delivery.state, delivery.attempts) == (DeliveryState.DELIVERED, 2)


def test_deliverers_that_are_killed_again_and_again_lose_nothing(redis, redis_url, receiver):
    WebhookStore(redis).register(ENDPOINT, "default", f"{receiver.url}/ok", ["queued", "cancelled"])
    jobs = cancelled_jobs(redis, 60)
    told: set[str] = set()
    for _ in range(3):
        with deliverer(redis_url) as doomed:
            told |= {receiver.next().headers["webhook-id"] for _ in range(20)}
            kill(doomed)
        let_leases_run_out(redis)
    expected = {f"evt_{job_id[4:]}_{number}" for job_id in jobs for number in (1, 2)}
    with deliverer(redis_url), deliverer(redis_url):
        while told < expected:
            told.add(receiver.next().headers["webhook-id"])
    assert told == expected


def test_told_to_stop_it_finishes_the_attempt_in_hand(redis, redis_url, receiver):
    cancelled_jobs(redis, 1, Hook(f"{receiver.url}/hang", frozenset({"cancelled"})))
    with deliverer(redis_url) as process:
        receiver.next()
        process.send_signal(signal.SIGTERM)
        receiver.released.set()
        assert process.wait() == 0
    (delivery,) = WebhookStore(redis).deliveries("default", "default")
    assert delivery.state is DeliveryState.DELIVERED
