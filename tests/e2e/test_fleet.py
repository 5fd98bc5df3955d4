"""Two gateways and three workers on one Redis and one bucket: it does not matter which of them one asks."""

from collections.abc import Iterator
from itertools import cycle
from pathlib import Path
from typing import Any

import httpx
import pytest

from scripts.bench.workspace import Workspace
from scripts.chaos.fleet import Fleet
from tests.e2e.conftest import TINY_REQUEST
from tests.servers import S3Account
from tests.unit.worker_parts import until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

PATIENCE_SECONDS = 240.0


@pytest.fixture
def gateways(rclone_s3: S3Account, tmp_path: Path) -> Iterator[list[httpx.Client]]:
    """A client for each gateway."""
    environment = {**rclone_s3.environment, "MODELS_DIR": str(Workspace(tmp_path).models)}
    fleet = Fleet(tmp_path, environment | {"OMP_NUM_THREADS": "1"}, gateways=2, machines=3)
    with fleet.running():
        clients = [httpx.Client(base_url=url, timeout=60) for url in fleet.gateway_urls]
        yield clients
        for client in clients:
            client.close()


def test_any_gateway_answers_for_any_job_and_any_worker_makes_its_video(gateways):
    first, second = gateways
    until(lambda: first.get("/health").json()["workers"]["t2v-A14B"] == 3, PATIENCE_SECONDS)
    turns = cycle(gateways)
    ids = [next(turns).post("/generate/text-to-video", json=TINY_REQUEST).json()["id"] for _ in range(12)]
    cancelled = second.post("/generate/text-to-video", json=TINY_REQUEST | {"sample_steps": 100}).json()["id"]
    assert first.post(f"/jobs/{cancelled}/cancel").is_success

    def jobs(gateway: httpx.Client) -> list[dict[str, Any]]:
        answers = [gateway.get(f"/jobs/{job_id}").raise_for_status() for job_id in (*ids, cancelled)]
        return [answer.json() | {"video_url": None} for answer in answers]  # it tells who was asked

    until(lambda: all(job["finished_at"] for job in jobs(first)), PATIENCE_SECONDS)
    ended = jobs(first)
    assert jobs(second) == ended
    assert [job["status"] for job in ended] == ["completed"] * 12 + ["cancelled"]
    assert len({job["attempts"][0]["worker"] for job in ended[:12]}) == 3
    videos = {gateway.get(ended[0]["video_path"]).raise_for_status().content for gateway in gateways}
    assert len(videos) == 1
