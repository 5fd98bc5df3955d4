"""``python -m workers --queues none`` as it is run: a fleet that is scaled down to no worker at all."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from jobs.errors import JobNotFoundError
from jobs.policy import Policy
from jobs.state import JobState
from jobs.store_redis import RedisJobStore, connect
from jobs.webhooks import Hook
from tests.integration.worker_processes import Workers
from tests.receiver import Receiver, receiving
from tests.unit.worker_parts import until

ALONE = ("-m", "workers", "--queues", "none")
# Files that only a worker needs, and no such pod has.
ABSENT = {"LORAS_DIR": "/nowhere/loras", "ENGINES": "/nowhere/engines.toml", "CONTEXT_PARALLEL": "2"}


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


@pytest.fixture
def alone(redis_url: str, tmp_path: Path) -> Iterator[Workers]:
    private = {"WEBHOOK_PRIVATE_HOSTS": "127.0.0.1"}
    workers = Workers(redis_url, tmp_path / "data", tmp_path / "none", ALONE, **private, **ABSENT)
    workers.store = RedisJobStore(connect(redis_url), Policy(retention_seconds=1))  # the gateway's
    yield workers
    workers.close()


def is_known(store: RedisJobStore, job_id: str) -> bool:
    try:
        store.get(job_id)
    except JobNotFoundError:
        return False
    return True


def test_without_a_worker_jobs_expire_are_told_of_and_are_forgotten_in_time(alone, receiver):
    hook = Hook(f"{receiver.url}/ok", frozenset({"expired"}))
    job_id = alone.submit({"expires_in": 1.0, "hook": hook})
    waiting = alone.submit()
    assert job_id in receiver.next().body
    until(lambda: not is_known(alone.store, job_id))
    assert alone.store.get(waiting).state is JobState.QUEUED
    (deliverer,) = psutil.Process(alone.process.pid).children()
    assert "workers.deliver" in deliverer.cmdline()
    assert alone.stop() == 0
