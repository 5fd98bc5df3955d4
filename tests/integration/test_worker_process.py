"""``python -m workers`` as it is run: a supervisor, its worker, the worker's child, Redis, a tiny model."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from ulid import ULID

from jobs.artifacts_local import LocalArtifactStore
from jobs.dispatch import Dispatcher
from jobs.embedded import EmbeddedRedis, broker_url
from jobs.policy import Policy
from jobs.state import Job, JobState, NewJob
from jobs.store_redis import RedisJobStore, connect
from wan_models.bodies import TextToVideo
from wan_models.catalog import CATALOG
from wan_models.pipelines.video import VideoInfo, probe_mp4
from wan_models.request import resolve

pytestmark = pytest.mark.slow

QUEUE = "t2v-A14B"
LEASE_SECONDS = 2.0
PATIENCE_SECONDS = 120.0
LONG: dict[str, Any] = {"size": "256*128", "frame_num": 81, "sample_steps": 100}  # seconds
ENDLESS: dict[str, Any] = {"size": "832*480", "frame_num": 33, "sample_steps": 100}  # minutes


class Workers:
    """A supervisor process, and the client's and the gateway's part in what it does."""

    def __init__(self, redis_url: str, data_dir: Path, models_dir: Path, **environment: str) -> None:
        self.store = RedisJobStore(connect(redis_url), Policy(lease_seconds=LEASE_SECONDS))
        self.artifacts = LocalArtifactStore(data_dir / "artifacts")
        self.redis = Redis.from_url(redis_url)
        self._dispatcher = Dispatcher(broker_url(redis_url))
        self.log = data_dir / "workers.log"
        data_dir.mkdir(parents=True)
        variables = {
            "DATA_DIR": str(data_dir),
            "MODELS_DIR": str(models_dir),
            "REDIS_URL": redis_url,
            "LEASE_SECONDS": str(LEASE_SECONDS),
            "DRAIN_SECONDS": "0",
            "S3_BUCKET": "",  # not the developer's own
            "S3_ENDPOINT": "",
        }
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "workers", "--gpus", "none", "--queues", QUEUE],
                env=os.environ | variables | environment,
                stdout=log,
                stderr=log,
            )

    def stop(self) -> int:
        """End the supervisor as an operator does."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE_SECONDS)

    def close(self) -> None:
        if self.process.poll() is None:
            self.stop()
        self._dispatcher.close()
        self.redis.close()

    def submit(self, **changes: Any) -> str:
        """Write a job down and send its message. 64*64, 5 frames, 2 steps, unless it says otherwise."""
        small = {"prompt": "a cat", "size": "64*64", "frame_num": 5, "sample_steps": 2, "base_seed": 42}
        request = resolve(TextToVideo.model_validate(small | changes), CATALOG[QUEUE], tiny=True)
        spec = request.model_dump(mode="json")
        new = NewJob(id=f"job_{ULID()}", queue=QUEUE, spec=spec, steps=request.sample_steps)
        job = self.store.submit(new)
        self._dispatcher.nudge(job)
        return job.id

    def wait(self, job_id: str, until: Callable[[Job], bool]) -> Job:
        """Look at the job until it is as wanted."""
        give_up_at = time.monotonic() + PATIENCE_SECONDS
        while not until(job := self.store.get(job_id)):
            assert time.monotonic() < give_up_at, f"{job}\n{self.log.read_text()[-4000:]}"
            assert self.process.poll() is None, self.log.read_text()[-4000:]
            time.sleep(0.02)
        return job

    def finished(self, job_id: str) -> Job:
        return self.wait(job_id, lambda job: job.state.is_final)

    def denoising(self, job_id: str) -> Job:
        return self.wait(job_id, lambda job: job.progress.step > 0)

    def messages(self) -> int:
        return self.redis.llen(QUEUE)


@pytest.fixture(scope="module")
def workers(redis_server, tmp_path_factory, models_dir) -> Iterator[Workers]:
    """One supervisor for all tests that leave it running."""
    with Redis.from_url(redis_server) as client:
        client.flushall()
    workers = Workers(redis_server, tmp_path_factory.mktemp("workers") / "data", models_dir)
    yield workers
    workers.close()


def result(job: Job) -> dict[str, Any]:
    assert job.state is JobState.COMPLETED, job.error
    assert job.result
    return dict(job.result)


def children(pid: int) -> list[int]:
    listing = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True, check=False)
    return [int(line) for line in listing.stdout.split()]


def worker_and_child(workers: Workers) -> tuple[int, int]:
    """Process ids of the one worker and of the child in which it runs jobs."""
    (worker,) = children(workers.process.pid)
    (child,) = children(worker)
    return worker, child


def test_a_job_becomes_the_video_that_was_asked_for(workers, tmp_path):
    job = workers.finished(workers.submit(size="128*64", frame_num=9, fps=24))
    told = result(job)
    assert (told["width"], told["height"], told["frames"], told["fps"]) == (128, 64, 9, 24)
    video = tmp_path / "video.mp4"
    video.write_bytes(b"".join(workers.artifacts.read(told["artifact"])))
    assert probe_mp4(video) == VideoInfo(128, 64, 9, 24.0, "h264", "yuv420p")
    assert video.stat().st_size == told["size"]


def test_a_seed_gives_the_same_bytes_again_and_another_seed_other_ones(workers):
    jobs = [workers.submit(base_seed=seed) for seed in (7, 8, 7)]
    first, other, again = (result(workers.finished(job_id))["sha256"] for job_id in jobs)
    assert first == again
    assert first != other


def test_a_cancelled_job_ends_and_the_next_one_runs(workers):
    running, next_one = workers.submit(**ENDLESS), workers.submit()
    workers.denoising(running)
    workers.store.cancel(running)
    cancelled = workers.finished(running)
    assert cancelled.state is JobState.CANCELLED
    assert cancelled.progress.step < ENDLESS["sample_steps"]
    assert list(workers.artifacts.find(f"{running}/")) == []
    assert workers.finished(next_one).state is JobState.COMPLETED


@pytest.mark.skipif(sys.platform != "linux", reason="reads the libraries of a process from /proc")
def test_torch_is_loaded_in_the_child_alone(workers):
    workers.finished(workers.submit())
    worker, child = worker_and_child(workers)

    def loads_torch(pid: int) -> bool:
        return "libtorch" in Path(f"/proc/{pid}/maps").read_text()

    assert not loads_torch(workers.process.pid)
    assert not loads_torch(worker)
    assert loads_torch(child)


def test_a_child_that_is_killed_costs_an_attempt_and_not_the_job(workers):
    job_id = workers.submit(**LONG)
    workers.denoising(job_id)
    _, child = worker_and_child(workers)
    os.kill(child, signal.SIGKILL)
    job = workers.finished(job_id)
    assert result(job)["artifact"] == f"{job_id}/2.mp4"
    assert (job.attempt, job.failures) == (2, 1)
    (lost,) = (event for event in workers.store.events(job_id) if event.data.get("by") == "retry")
    assert lost.data["error"]["code"] == "worker_lost"


@pytest.fixture
def workers_of_their_own(tmp_path, models_dir) -> Iterator[Workers]:
    with EmbeddedRedis(tmp_path / "redis") as redis:
        workers = Workers(redis.url, tmp_path / "data", models_dir)
        yield workers
        workers.close()


def test_a_supervisor_that_is_told_to_stop_puts_its_job_back_and_ends_well(workers_of_their_own):
    workers = workers_of_their_own
    job_id = workers.submit(**ENDLESS)
    workers.denoising(job_id)
    processes = worker_and_child(workers)
    assert workers.stop() == 0, workers.log.read_text()
    job = workers.store.get(job_id)
    assert (job.state, job.failures, job.worker) == (JobState.QUEUED, 0, None)
    assert workers.messages() >= 1
    assert workers.store.workers() == []
    for pid in processes:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_a_supervisor_that_is_killed_leaves_no_worker_behind_and_no_job_half_done(workers_of_their_own):
    workers = workers_of_their_own
    job_id = workers.submit(**ENDLESS)
    workers.denoising(job_id)
    workers.process.kill()
    workers.process.wait()
    give_up_at = time.monotonic() + PATIENCE_SECONDS
    while workers.store.workers():
        assert time.monotonic() < give_up_at, workers.log.read_text()
        time.sleep(0.02)
    job = workers.store.get(job_id)
    assert (job.state, job.failures, job.worker) == (JobState.QUEUED, 0, None)
    assert workers.messages() >= 1
