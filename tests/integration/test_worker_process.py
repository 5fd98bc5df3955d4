"""``python -m workers`` as it is run: a supervisor, its worker, the worker's child, Redis, a tiny model."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from redis import Redis

from jobs.embedded import EmbeddedRedis
from jobs.state import JobState
from tests.integration.worker_processes import (
    ENDLESS,
    LONG,
    PATIENCE_SECONDS,
    QUEUE,
    Workers,
    result,
    worker_and_child,
)
from tests.unit.worker_parts import until
from wan_models.pipelines.video import VideoInfo, probe_mp4

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def workers(redis_server, tmp_path_factory, models_dir) -> Iterator[Workers]:
    """One supervisor for all tests that leave it running."""
    with Redis.from_url(redis_server) as client:
        client.flushall()
    workers = Workers(redis_server, tmp_path_factory.mktemp("workers") / "data", models_dir)
    yield workers
    workers.close()


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


def test_short_jobs_are_worked_off_in_their_order_with_all_of_their_messages(workers):
    jobs = [workers.finished(job_id) for job_id in [workers.submit() for _ in range(8)]]
    assert [(job.state, job.attempt) for job in jobs] == [(JobState.COMPLETED, 1)] * 8
    began = [job.started_at for job in jobs]
    assert began == sorted(began)
    assert workers.messages() == 0


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


def test_a_supervisor_says_in_a_line_that_its_port_is_taken(redis_url, tmp_path, models_dir, taken):
    with closing(Workers(redis_url, tmp_path / "data", models_dir, METRICS_PORT=str(taken))) as workers:
        assert workers.process.wait(PATIENCE_SECONDS) == 1
        told = workers.log.read_text()
    assert told.splitlines()[-1] == f"METRICS_PORT {taken} cannot be used: Address already in use."
    assert "usage" not in told


def test_a_worker_that_drains_is_alive_and_takes_no_jobs(tmp_path, models_dir):
    with (
        EmbeddedRedis(tmp_path / "redis") as redis,
        closing(Workers(redis.url, tmp_path / "data", models_dir, DRAIN_SECONDS="3600")) as workers,
    ):
        store, job_id = workers.store, workers.submit(**ENDLESS)
        workers.denoising(job_id)
        assert [worker.taken for worker in store.workers()] == [(QUEUE,)]
        workers.process.send_signal(signal.SIGTERM)
        try:
            until(lambda: [(worker.queues, worker.taken) for worker in store.workers()] == [((QUEUE,), ())])
            assert store.get(job_id).state is JobState.IN_PROGRESS
        finally:
            store.cancel(job_id)
        assert workers.process.wait(PATIENCE_SECONDS) == 0


def test_a_supervisor_that_is_killed_leaves_no_worker_behind_and_no_job_half_done(workers_of_their_own):
    workers = workers_of_their_own
    job_id = workers.submit(**ENDLESS)
    workers.denoising(job_id)
    workers.process.kill()
    workers.process.wait()
    until(lambda: not workers.store.workers(), PATIENCE_SECONDS)
    job = workers.store.get(job_id)
    assert (job.state, job.failures, job.worker) == (JobState.QUEUED, 0, None)
    assert workers.messages() >= 1
