"""A worker whose disk, a real one of its own, is full: it waits, tells of it, and goes on by itself."""

from collections.abc import Iterator

import httpx
import pytest

from jobs.state import JobState
from tests.e2e.conftest import free_port
from tests.integration.worker_processes import Workers, result
from tests.small_disk import fill

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


def test_claims_nothing_until_there_is_room(workers, small_disk, port):
    assert result(workers.finished(workers.submit()))
    filler = fill(small_disk)
    job_id = workers.submit()
    workers.wait_for_line("A disk is full")
    metrics = httpx.get(f"http://127.0.0.1:{port}/metrics").text
    assert 'wanserve_disk_free_bytes{disk="temporary"} 0.0' in metrics
    assert f"wanserve_disk_reserve_bytes {RESERVE_BYTES:.1f}" in metrics.replace("2e+06", "2000000.0")
    assert workers.store.get(job_id).state is JobState.QUEUED
    filler.unlink()
    job = workers.finished(job_id)
    assert result(job)
    assert job.attempt == 1


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
