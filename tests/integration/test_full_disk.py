"""A worker whose disk, a real one of its own, is full: it waits, tells of it, and goes on by itself."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import httpx
import pytest

from jobs.state import JobState
from tests.e2e.conftest import free_port
from tests.integration.worker_processes import QUEUE, Workers, result, worker_and_child
from tests.small_disk import fill
from tests.unit.worker_parts import until

pytestmark = pytest.mark.slow

RESERVE_BYTES = 2_000_000


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def workers(redis_url, tmp_path, models_dir, small_disk, port) -> Iterator[Workers]:
    """A supervisor whose temporary files lie on a disk of eight MiB, a quarter of which is to stay free."""
    more = {"TMPDIR": str(small_disk), "DISK_RESERVE_GB": str(RESERVE_BYTES / 1e9), "METRICS_PORT": str(port)}
    workers = Workers(redis_url, tmp_path / "data", models_dir, **more)
    yield workers
    workers.close()


def taken(workers: Workers) -> list[tuple[str, ...]]:
    """The queues that each worker says it takes jobs of."""
    return [worker.taken for worker in workers.store.workers()]


def listed(redis_url: str) -> str:
    """What an operator is told of the workers."""
    return subprocess.run(
        [sys.executable, "-m", "scripts.cli", "workers", "list"],
        env=os.environ | {"REDIS_URL": redis_url, "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout


def test_claims_nothing_and_says_so_until_there_is_room(workers, redis_url, small_disk, port):
    assert result(workers.finished(workers.submit()))
    filler = fill(small_disk)
    job_id = workers.submit()
    workers.wait_for_line("A disk is full")
    until(lambda: taken(workers) == [()])
    assert "no, its disk is full" in listed(redis_url)
    metrics = httpx.get(f"http://127.0.0.1:{port}/metrics").text
    assert 'wanserve_disk_free_bytes{disk="temporary"} 0.0' in metrics
    assert f"wanserve_disk_reserve_bytes {RESERVE_BYTES:.1f}" in metrics.replace("2e+06", "2000000.0")
    assert workers.store.get(job_id).state is JobState.QUEUED
    filler.unlink()
    job = workers.finished(job_id)
    assert result(job)
    assert job.attempt == 1
    until(lambda: taken(workers) == [(QUEUE,)])


def test_that_made_a_child_wait_keeps_nothing_from_the_next_one(workers, small_disk):
    assert result(workers.finished(workers.submit()))
    filler = fill(small_disk)
    job_id = workers.submit()
    workers.wait_for_line("A disk is full")
    until(lambda: taken(workers) == [()])
    _, child = worker_and_child(workers)
    os.kill(child, signal.SIGSTOP)  # so that it does not see the room
    filler.unlink()
    os.kill(child, signal.SIGKILL)
    assert result(workers.finished(job_id))
    until(lambda: taken(workers) == [(QUEUE,)])


def test_gives_a_job_back_whose_video_found_no_room_and_makes_it_later(workers, small_disk):
    job_id = workers.submit(size="256*128", frame_num=33, sample_steps=20)
    workers.denoising(job_id)
    filler = fill(small_disk)
    back = workers.wait(job_id, lambda job: job.state is JobState.QUEUED)
    assert (back.attempt, back.failures) == (1, 0)
    workers.wait_for_line("A disk is full")
    filler.unlink()
    job = workers.finished(job_id)
    assert result(job)
    assert (job.attempt, job.failures) == (2, 0)
