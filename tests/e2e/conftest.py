"""The whole service as a user starts it: processes, HTTP, a real worker, tiny models."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.servers import end

START_SECONDS = 120.0
JOB_SECONDS = 240.0
STOP_SECONDS = 90.0
TINY_REQUEST = {
    "task": "t2v-A14B",
    "prompt": "A cat playing in a garden",
    "size": "128*64",
    "frame_num": 17,
    "sample_steps": 4,
    "base_seed": 42,
}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Service:
    """A running service and a client for it."""

    def __init__(self, process: subprocess.Popen[bytes], address: str, log: Path) -> None:
        self.process = process
        self.log = log
        self.address = address
        self.client = httpx.Client(base_url=address, timeout=60)

    def submit(self, **changes: object) -> dict[str, Any]:
        answer = self.client.post("/generate/text-to-video", json=TINY_REQUEST | changes)
        assert answer.status_code == 202, answer.text
        job: dict[str, Any] = answer.json()
        return job

    def job(self, job_id: str) -> dict[str, Any]:
        found: dict[str, Any] = self.client.get(f"/jobs/{job_id}").raise_for_status().json()
        return found

    def wait(self, job_id: str, until: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Poll as a client does until the job is as wanted."""
        give_up_at = time.monotonic() + JOB_SECONDS
        while not until(job := self.job(job_id)):
            assert time.monotonic() < give_up_at, job
            time.sleep(0.05)
        return job

    def finished(self, job_id: str) -> dict[str, Any]:
        return self.wait(job_id, lambda job: job["status"] not in ("queued", "in_progress"))

    def wait_until_ready(self) -> None:
        """Wait for the gateway to answer and for a worker to be there."""
        give_up_at = time.monotonic() + START_SECONDS
        while self.process.poll() is None and time.monotonic() < give_up_at:
            try:
                health = self.client.get("/health")
                if health.is_success and any(health.json()["workers"].values()):
                    return
            except httpx.TransportError:
                pass
            time.sleep(0.1)
        pytest.fail(f"The service is not ready:\n{self.log.read_text()[-3000:]}")

    def video(self, job: dict[str, Any]) -> bytes:
        return self.client.get(job["video_path"]).raise_for_status().content


@contextmanager
def running_service(data_dir: Path, exit_code: int = 0, **environment: str) -> Iterator[Service]:
    """``python -m scripts.serve`` on a free port; ended with SIGTERM, and it must end well."""
    port = free_port()
    unset = dict.fromkeys(("REDIS_URL", "S3_BUCKET", "S3_ENDPOINT", "MODELS_DIR"), "")  # the developer's own
    variables = os.environ | unset | {"DATA_DIR": str(data_dir), "PORT": str(port)} | environment
    log = data_dir.with_suffix(".log")
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "scripts.serve"], env=variables, stdout=output, stderr=subprocess.STDOUT
        )
    service = Service(process, f"http://127.0.0.1:{port}", log)
    try:
        service.wait_until_ready()
        yield service
    finally:
        service.client.close()
        code = end(process, STOP_SECONDS)
    assert code == exit_code, log.read_text()[-3000:]


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The embedded default: nothing configured."""
    with running_service(tmp_path_factory.mktemp("service") / "data") as running:
        yield running
