"""What the contract tests share."""

from pathlib import Path

import pytest

from jobs.store import JobStore
from jobs.store_memory import MemoryJobStore
from jobs.store_redis import RedisJobStore, connect
from tests.contract.artifact_helpers import CONTENT
from tests.contract.job_store_helpers import POLICY, Clock


@pytest.fixture
def video(tmp_path: Path) -> Path:
    """A local file with ``CONTENT``."""
    path = tmp_path / "video.mp4"
    path.write_bytes(CONTENT)
    return path


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=["memory", "redis"])
def store(request, clock) -> JobStore:
    if request.param == "memory":
        return MemoryJobStore(POLICY, clock)
    return RedisJobStore(connect(request.getfixturevalue("redis_url")), POLICY, clock=clock)
