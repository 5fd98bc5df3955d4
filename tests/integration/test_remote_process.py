"""A worker without a model and without a GPU, whose videos another server makes."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from redis import Redis

from jobs.state import JobState
from tests.engine_server import EngineServer, engine
from tests.integration.worker_processes import QUEUE, Workers, result
from wan_models.pipelines.video import encode_mp4

pytestmark = pytest.mark.slow

LONG: dict[str, Any] = {"sample_steps": 40}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EngineServer]:
    path = tmp_path_factory.mktemp("engine") / "video.mp4"
    encode_mp4(torch.zeros(5, 64, 128, 3, dtype=torch.uint8), path, 16)
    with engine("vllm-omni", path.read_bytes()) as server:
        yield server


@pytest.fixture(scope="module")
def workers(redis_server, server, tmp_path_factory) -> Iterator[Workers]:
    root: Path = tmp_path_factory.mktemp("remote")
    engines = root / "engines.toml"
    engines.write_text(f'[{QUEUE}]\nurl = "{server.url}"\ndialect = "{server.dialect}"\n')
    with Redis.from_url(redis_server) as client:
        client.flushall()
    workers = Workers(redis_server, root / "data", root / "no models", ENGINES=str(engines))
    yield workers
    workers.close()


def test_a_job_becomes_the_video_that_the_server_made(workers, server):
    told = result(workers.finished(workers.submit()))
    assert (told["width"], told["height"], told["frames"]) == (128, 64, 5)
    assert told["metrics"]["engine"] == "vllm-omni"
    assert b"".join(workers.artifacts.read(told["artifact"])) == server.video


def test_a_cancel_reaches_the_server(workers, server):
    server.percents = [50] * 10_000
    job_id = workers.submit(**LONG)
    assert workers.denoising(job_id).progress.step == 20
    workers.store.cancel(job_id)
    assert workers.finished(job_id).state is JobState.CANCELLED
    assert server.deleted == [f"video_{len(server.asked)}"]
