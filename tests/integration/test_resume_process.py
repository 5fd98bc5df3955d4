"""Jobs whose worker dies, drains or has a broken device, on real processes: they go on where they were."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import psutil
import pytest

from jobs.embedded import EmbeddedRedis
from jobs.state import Job, JobState
from tests.integration.worker_processes import (
    PATIENCE_SECONDS,
    QUEUE,
    SUPERVISOR,
    Workers,
    result,
    worker_and_child,
)
from tests.unit.worker_parts import until

pytestmark = pytest.mark.slow

MEDIUM: dict[str, Any] = {"size": "256*128", "frame_num": 33, "sample_steps": 60}  # some seconds
FAULTY = ("-m", "tests.integration.faulty_pipeline", "--name", "cpu@test", "--queues", QUEUE)


@pytest.fixture
def start(tmp_path: Path, models_dir: Path) -> Iterator[Callable[..., Workers]]:
    """Starts workers, of one data directory and one Redis."""
    with EmbeddedRedis(tmp_path / "redis") as redis:
        started: list[Workers] = []

        def start(command: Sequence[str] = SUPERVISOR, **environment: str) -> Workers:
            started.append(Workers(redis.url, tmp_path / "data", models_dir, command, **environment))
            return started[-1]

        yield start
        for workers in started:
            workers.close()


def checkpoints(workers: Workers, job_id: str) -> list[str]:
    return [artifact.key for artifact in workers.artifacts.find(f"{job_id}/checkpoint/")]


def resumed_step(job: Job) -> int:
    return int(result(job)["metrics"]["resumed_step"])


def test_a_job_whose_child_is_killed_goes_on_where_it_was_saved_and_gives_the_same_video(start):
    workers = start(CHECKPOINT_SECONDS="0.01")
    whole = result(workers.finished(workers.submit(**MEDIUM)))
    job_id = workers.submit(**MEDIUM)
    until(lambda: checkpoints(workers, job_id))
    os.kill(worker_and_child(workers)[1], signal.SIGKILL)
    job = workers.finished(job_id)
    assert (job.attempt, job.failures) == (2, 1)
    assert resumed_step(job) > 0
    assert result(job)["sha256"] == whole["sha256"]
    until(lambda: not checkpoints(workers, job_id))


def test_a_drained_job_is_saved_and_goes_on_with_the_next_worker(start):
    workers = start(CHECKPOINT_SECONDS="3600", DRAIN_SECONDS="0")
    job_id = workers.submit(**MEDIUM)
    workers.denoising(job_id)
    assert workers.stop() == 0
    given_back = workers.store.get(job_id)
    assert (given_back.state, given_back.failures) == (JobState.QUEUED, 0)
    (saved,) = checkpoints(workers, job_id)
    following = start(CHECKPOINT_SECONDS="3600")
    job = following.finished(job_id)
    assert saved == f"{job_id}/checkpoint/1-{resumed_step(job)}.safetensors"
    assert resumed_step(job) > 0


def test_a_rolling_restart_of_all_workers_under_load_loses_nothing_and_repeats_no_step(start):
    fleet = [start((*SUPERVISOR, "--host", f"first-{number}")) for number in range(2)]
    client = fleet[0]
    jobs = [client.submit(**MEDIUM, base_seed=seed) for seed in range(4)]
    until(
        lambda: sum(client.store.get(job_id).progress.step > 0 for job_id in jobs) == len(fleet),
        PATIENCE_SECONDS,
    )
    for number, workers in enumerate(fleet):
        assert workers.stop() == 0
        client = start((*SUPERVISOR, "--host", f"second-{number}"))
    ended = [client.finished(job_id) for job_id in jobs]
    assert [(job.state, job.failures) for job in ended] == [(JobState.COMPLETED, 0)] * len(jobs)
    again = [job for job in ended if job.attempt > 1]
    assert again
    assert all(resumed_step(job) > 0 for job in again)


def test_a_job_that_kills_its_worker_every_time_fails_with_what_each_attempt_died_of(start):
    workers = start(FAULTY)
    job_id = workers.submit(prompt="die")
    job = workers.finished(job_id)
    assert (job.state, job.failures) == (JobState.FAILED, 3)
    assert [attempt.error.code for attempt in job.attempts] == ["worker_lost"] * 3
    assert all("died" in attempt.error.message for attempt in job.attempts)
    assert workers.finished(workers.submit()).state is JobState.COMPLETED


def test_a_child_whose_device_failed_is_replaced_before_the_next_job(start):
    workers = start(FAULTY, RETRY_SECONDS="0")  # there is no sweep that ends a wait
    workers.finished(workers.submit())
    (first,) = (child for child in psutil.Process(workers.process.pid).children() if child.is_running())
    job = workers.finished(workers.submit(prompt="fail once"))
    assert (job.state, job.failures) == (JobState.COMPLETED, 1)
    assert job.attempts[0].error.code == "device_fault"
    assert not first.is_running()
