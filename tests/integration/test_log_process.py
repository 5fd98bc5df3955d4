"""What the processes of a worker log: whoever says it, and whatever happens, it says whose job it is."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jobs.embedded import EmbeddedRedis
from tests.integration.worker_processes import ENDLESS, LONG, Workers, worker_and_child

pytestmark = pytest.mark.slow

TRACE = "0af7651916cd43dd8448eb211c80319c"
ABOUT = {"tenant": "acme", "request_id": "r-1", "traceparent": f"00-{TRACE}-b7ad6b7169203331-01"}


@pytest.fixture
def workers(tmp_path: Path, models_dir) -> Iterator[Workers]:
    with EmbeddedRedis(tmp_path / "redis") as redis:
        settings = {"LOG_LEVEL": "DEBUG", "LOG_DIR": str(tmp_path / "logs"), "LOG_FORMAT": ""}
        workers = Workers(redis.url, tmp_path / "data", models_dir, **settings)
        yield workers
        workers.close()


def lines(text: str) -> list[dict[str, Any]]:
    """Every line of a log, which must be JSON."""
    return [json.loads(line) for line in text.splitlines()]


def test_every_line_about_a_job_says_whose_it_is_and_what_it_came_from(workers, tmp_path):
    job_id = workers.submit(ABOUT, prompt="a cat that nobody may hear of", **LONG)
    workers.denoising(job_id)
    _, child = worker_and_child(workers)
    os.kill(child, signal.SIGKILL)
    workers.finished(job_id)
    workers.wait_for_line("Attempt 2 ended, the job is completed")
    log = workers.log.read_text()
    assert "nobody may hear of" not in log
    told = [line for line in lines(log) if "job" in line]
    for line in told:
        facts = {name: line[name] for name in ("job", "tenant", "request_id", "trace_id")}
        assert facts == {"job": job_id, "tenant": "acme", "request_id": "r-1", "trace_id": TRACE}, line
        assert line["worker"].startswith("cpu@")
    steps = [(line["process"], line["attempt"], line["level"], line["message"]) for line in told]
    worker = told[0]["worker"]
    lost = f"worker_lost: The process of worker {worker} died: killed by SIGKILL."
    assert ("worker", "1", "info", "Attempt 1 at t2v-A14B begins") in steps
    assert ("keeper", "1", "warning", f"Attempt 1 ended, the job is queued: {lost}") in steps
    assert ("worker", "2", "info", "Attempt 2 ended, the job is completed") in steps
    assert workers.stop() == 0
    for process in ("supervisor", "worker", "keeper"):
        kept = lines((tmp_path / "logs" / f"{process}.log").read_text())
        assert {line["process"] for line in kept} == {process}


def test_what_a_worker_notes_for_the_owner_outlives_it(workers):
    job_id = workers.submit(**ENDLESS)
    workers.denoising(job_id)
    _, child = worker_and_child(workers)
    os.kill(child, signal.SIGKILL)
    workers.wait(job_id, lambda job: job.attempt > 1)
    workers.denoising(job_id)
    notes = [(note.attempt, note.text) for note in workers.store.notes(job_id)]
    workers.store.cancel(job_id)  # on a slow machine that is noted as well: the run's process is killed
    workers.finished(job_id)
    assert [note for note in notes if note[1] == "Loading t2v-A14B"] == [
        (1, "Loading t2v-A14B"),
        (2, "Loading t2v-A14B"),
    ]
    assert all(text.startswith(("Loading t2v-A14B", "Loaded t2v-A14B in ")) for _, text in notes)


def test_a_redis_that_goes_is_told_of_once_by_each_process_and_nothing_is_warned_of_in_vain(
    tmp_path: Path, models_dir
):
    with EmbeddedRedis(tmp_path / "redis") as redis:
        workers = Workers(redis.url, tmp_path / "data", models_dir, LOG_FORMAT="")
        try:
            job_id = workers.submit(sample_steps=100)
            workers.denoising(job_id)
            redis.stop()
            workers.wait_for_line("Trying again in 4.00 seconds")  # says Celery, having waited for 2
            redis.start()
            workers.finished(job_id)
            workers.wait_for_line("Connected to", times=2)
            told = lines(workers.log.read_text())
        finally:
            workers.close()
    for text in ("The job store does not answer", "The job store answers again"):
        tellers = [line["process"] for line in told if line["message"].startswith(text)]
        assert sorted(tellers) == ["deliverer", "keeper", "supervisor"]
    assert not [line for line in told if "Warning" in line["message"] or "torchvision" in line["message"]]
