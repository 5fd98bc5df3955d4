"""Workers run as they are in production, and the client's and the gateway's part in what they do."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import psutil
from redis import Redis
from ulid import ULID

from jobs.artifacts_local import LocalArtifactStore
from jobs.policy import Policy
from jobs.state import Job, JobState, NewJob
from jobs.store_redis import RedisJobStore, connect
from tests.servers import end
from wan_models.bodies import TextToVideo
from wan_models.catalog import CATALOG
from wan_models.request import resolve

QUEUE = "t2v-A14B"
SUPERVISOR = ("-m", "workers", "--gpus", "none", "--queues", QUEUE)
LEASE_SECONDS = 2.0
PATIENCE_SECONDS = 120.0
LONG: dict[str, Any] = {"size": "256*128", "frame_num": 81, "sample_steps": 100}  # seconds
ENDLESS: dict[str, Any] = {"size": "832*480", "frame_num": 33, "sample_steps": 100}  # minutes


class Workers:
    """A supervisor process, and the client's and the gateway's part in what it does.

    ``command`` may be another process than the supervisor.
    """

    def __init__(
        self,
        redis_url: str,
        data_dir: Path,
        models_dir: Path,
        command: Sequence[str] = SUPERVISOR,
        **environment: str,
    ) -> None:
        self.store = RedisJobStore(connect(redis_url), Policy(lease_seconds=LEASE_SECONDS))
        self.artifacts = LocalArtifactStore(data_dir / "artifacts")
        self.redis = Redis.from_url(redis_url)
        self.log = data_dir / "workers.log"
        data_dir.mkdir(parents=True, exist_ok=True)
        variables = {
            "DATA_DIR": str(data_dir),
            "MODELS_DIR": str(models_dir),
            "REDIS_URL": redis_url,
            "LEASE_SECONDS": str(LEASE_SECONDS),
            "DRAIN_SECONDS": "0",
            "S3_BUCKET": "",  # not the developer's own
            "S3_ENDPOINT": "",
        }
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, *command],
                env=os.environ | variables | environment,
                stdout=log,
                stderr=log,
            )

    def stop(self) -> int:
        """End the supervisor as an operator does."""
        return end(self.process, PATIENCE_SECONDS)

    def close(self) -> None:
        if self.process.poll() is None:
            self.stop()
        self.redis.close()

    def submit(self, about: Mapping[str, Any] = MappingProxyType({}), **changes: Any) -> str:
        """Write a job down. 64*64, 5 frames, 2 steps, unless it says otherwise.

        ``about`` is more of the record, such as its tenant.
        """
        small = {"prompt": "a cat", "size": "64*64", "frame_num": 5, "sample_steps": 2, "base_seed": 42}
        request = resolve(TextToVideo.model_validate(small | changes), CATALOG[QUEUE], tiny=True)
        spec = request.model_dump(mode="json")
        new = NewJob(id=f"job_{ULID()}", queue=QUEUE, spec=spec, steps=request.sample_steps, **about)
        return self.store.submit(new).id

    def wait(self, job_id: str, until: Callable[[Job], bool]) -> Job:
        """Look at the job until it is as wanted."""
        give_up_at = time.monotonic() + PATIENCE_SECONDS
        while not until(job := self.store.get(job_id)):
            assert time.monotonic() < give_up_at, f"{job}\n{self.log.read_text()[-4000:]}"
            assert self.process.poll() is None, self.log.read_text()[-4000:]
            time.sleep(0.02)
        return job

    def wait_for_line(self, text: str, times: int = 1) -> None:
        """Look at the log until a line, or so many, say this."""
        give_up_at = time.monotonic() + PATIENCE_SECONDS
        while (log := self.log.read_text()).count(text) < times:
            assert time.monotonic() < give_up_at, log[-4000:]
            time.sleep(0.02)

    def finished(self, job_id: str) -> Job:
        return self.wait(job_id, lambda job: job.state.is_final)

    def denoising(self, job_id: str) -> Job:
        return self.wait(job_id, lambda job: job.progress.step > 0)

    def messages(self) -> int:
        return self.redis.llen(QUEUE)


def result(job: Job) -> dict[str, Any]:
    assert job.state is JobState.COMPLETED, job.error
    assert job.result
    return dict(job.result)


def worker_and_child(workers: Workers) -> tuple[int, int]:
    """Process ids of the one worker and of the child in which it runs jobs."""
    (worker,) = (
        process
        for process in psutil.Process(workers.process.pid).children()
        if "workers.worker" in process.cmdline()
    )
    (child,) = worker.children()
    return worker.pid, child.pid
