"""``python -m routing`` as a process, in front of real gateways that are processes too."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from jobs.embedded import EmbeddedRedis
from jobs.policy import Policy
from jobs.store_redis import RedisJobStore, connect
from tests.e2e.conftest import free_port

START_SECONDS = 60.0


@contextmanager
def process(module: str, log: Path, **environment: str) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    port = str(free_port())
    unset = dict.fromkeys(("S3_BUCKET", "S3_ENDPOINT", "MODELS_DIR", "VLLM_URLS", "REDIS_URL"), "")
    with log.open("ab") as output:
        variables = os.environ | unset | {"PORT": port, "HOST": "127.0.0.1"} | environment
        started = subprocess.Popen(
            [sys.executable, "-m", module], env=variables, stdout=output, stderr=subprocess.STDOUT
        )
    try:
        yield f"http://127.0.0.1:{port}", started
    finally:
        started.kill()
        started.wait()


def until_answering(url: str, log: Path) -> None:
    give_up_at = time.monotonic() + START_SECONDS
    while time.monotonic() < give_up_at:
        try:
            httpx.get(url, timeout=5)
        except httpx.TransportError:
            time.sleep(0.05)
        else:
            return
    pytest.fail(f"{url} does not answer:\n{log.read_text()[-3000:]}")


class Site:
    """An installation: a gateway with its own Redis, and a store to play its workers with."""

    def __init__(self, url: str, gateway: subprocess.Popen[bytes], store: RedisJobStore) -> None:
        self.url, self.gateway, self.store = url, gateway, store


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("models")
    command = [sys.executable, "-m", "scripts.build_tiny_models", str(directory)]
    subprocess.run(command, check=True, capture_output=True)
    return directory


@pytest.fixture
def sites(tmp_path: Path, models: Path) -> Iterator[list[Site]]:
    with ExitStack() as stack:
        found = []
        for name in ("a", "b"):
            data, log = tmp_path / name, tmp_path / f"{name}.log"
            redis = stack.enter_context(EmbeddedRedis(data / "redis"))
            settings = {"DATA_DIR": str(data), "REDIS_URL": redis.url, "MODELS_DIR": str(models)}
            url, gateway = stack.enter_context(process("api", log, **settings))
            until_answering(f"{url}/health/live", log)
            client = stack.enter_context(connect(redis.url))
            found.append(Site(url, gateway, RedisJobStore(client, Policy())))
        yield found


@pytest.fixture
def front(sites: list[Site], tmp_path: Path) -> Iterator[httpx.Client]:
    log = tmp_path / "front.log"
    urls = ",".join(site.url for site in sites)
    with process("routing", log, WANSERVE_URLS=urls) as (url, _):
        until_answering(f"{url}/health", log)
        with httpx.Client(base_url=url, timeout=30) as client:
            yield client


def until(holds: Callable[[], bool]) -> None:
    """Wait for what a front learns within a second or two."""
    give_up_at = time.monotonic() + START_SECONDS
    while not holds():
        assert time.monotonic() < give_up_at
        time.sleep(0.05)


def workers(front: httpx.Client, task: str) -> int:
    models = front.get("/models").json()["models"]
    return next((model["workers"] for model in models if model["id"] == task and model["available"]), 0)


def execute(front: httpx.Client, query: str = "a video of a fox in the snow") -> dict[str, Any]:
    answer = front.post("/api/v1/route", json={"query": query, "execute": True})
    assert answer.status_code == 202, answer.text
    found: dict[str, Any] = answer.json()
    return found


@pytest.mark.slow
def test_jobs_go_where_workers_are_free_and_to_another_site_when_one_dies(sites, front):
    first, second = sites
    second.store.announce("worker-1", ["t2v-A14B"])
    assert front.get("/health").json()["status"] == "ok"

    until(lambda: workers(front, "t2v-A14B") == 1)
    started = execute(front)
    assert started["installation"] == second.url
    job = started["job"]
    assert httpx.get(f"{second.url}/jobs/{job['id']}").status_code == 200
    assert front.get(f"/jobs/{job['id']}").json()["id"] == job["id"]
    assert front.post(f"/jobs/{job['id']}/cancel").json()["status"] == "cancelled"
    assert front.get("/jobs/job_00000000000000000000000000").status_code == 404

    second.gateway.kill()
    second.gateway.wait()
    assert execute(front)["installation"] == first.url
    direct = front.post(
        "/generate/text-to-video",
        json={"prompt": "a fox", "size": "128*64", "frame_num": 17},
        headers={"x-request-id": "r-1", "traceparent": f"00-{'a' * 32}-{'b' * 16}-01"},
    )
    assert (direct.status_code, direct.headers["x-request-id"]) == (202, "r-1")
    written = first.store.get(direct.json()["id"])
    assert (written.request_id, written.traceparent.split("-")[1]) == ("r-1", "a" * 32)
    log = front.get(f"/jobs/{written.id}/logs").raise_for_status().json()
    assert [line["message"] for line in log["lines"]] == ["Queued"]
    assert front.get("/health").json() == {
        "status": "degraded",
        "installations": {first.url: True, second.url: False},
    }

    first.gateway.kill()
    first.gateway.wait()
    until(lambda: front.get("/health").status_code == 503)
    refused = front.post("/api/v1/route", json={"query": "a video of a fox", "execute": True})
    assert refused.status_code == 503
    wrong: tuple[Any, ...] = ({"query": ""}, {"query": "cat", "modality": "smell"}, [], "null")
    for body in wrong:
        assert front.post("/api/v1/route", json=body).status_code == 422


def test_without_installations_it_says_what_it_needs():
    run = subprocess.run(
        [sys.executable, "-m", "routing"],
        env=os.environ | {"WANSERVE_URLS": ""},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert run.returncode == 1
    assert "WANSERVE_URLS" in run.stderr
