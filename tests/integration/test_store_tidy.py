"""Whoever ends a job, nothing stays of what only its runs needed."""

import pytest

from jobs.artifacts_local import LocalArtifactStore
from jobs.errors import ArtifactStoreUnavailableError
from jobs.policy import Policy
from jobs.state import Job, JobError, NewJob
from jobs.store_redis import connect
from jobs.store_tidy import TidyJobStore

JOB = "job_1"
INPUT, CHECKPOINT, VIDEO = f"{JOB}/in/image.png", f"{JOB}/checkpoint/1-20.safetensors", f"{JOB}/1.mp4"
ERROR = JobError("broken", "It broke.")


class Clock:
    time = 1_763_000_000.0

    def __call__(self) -> float:
        return self.time


@pytest.fixture
def artifacts(tmp_path) -> LocalArtifactStore:
    store = LocalArtifactStore(tmp_path / "artifacts")
    source = tmp_path / "file"
    source.write_text("content")
    for key in (INPUT, CHECKPOINT, VIDEO, "job_2/in/image.png", "job_2/checkpoint/1-20.safetensors"):
        store.put(key, source)
    return store


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(redis_url, artifacts, clock) -> TidyJobStore:
    store = TidyJobStore(connect(redis_url), Policy(max_attempts=1), artifacts)
    store._clock = clock
    store.submit(NewJob(id=JOB, queue="q", spec={"inputs": {"image": INPUT}}, timeout=10))
    return store


@pytest.fixture
def claimed(store: TidyJobStore) -> Job:
    job = store.claim("q", "w1")
    assert job
    return job


def cancelled(store: TidyJobStore, job: Job, _clock: Clock) -> None:
    store.cancel(JOB)
    store.release(job.lease)


def rescued(store: TidyJobStore, _job: Job, clock: Clock) -> None:
    clock.time += 31
    store.rescue()


def expired(store: TidyJobStore, _job: Job, clock: Clock) -> None:
    clock.time += 11
    store.expire()


@pytest.mark.parametrize(
    "end",
    [
        lambda store, job, _: store.succeed(job.lease, {"artifact": VIDEO}),
        lambda store, job, _: store.fail(job.lease, ERROR),
        lambda store, job, _: store.retry(job.lease, ERROR),
        cancelled,
        rescued,
        expired,
    ],
    ids=["succeed", "fail", "retry", "cancel", "rescue", "expire"],
)
def test_the_inputs_and_checkpoints_go_with_the_end(store, claimed, artifacts, clock, end):
    end(store, claimed, clock)
    assert store.get(JOB).state.is_final
    kept = [artifact.key for artifact in artifacts.find()]
    assert kept == [VIDEO, "job_2/checkpoint/1-20.safetensors", "job_2/in/image.png"]


def test_a_job_that_goes_round_again_keeps_them(store, claimed, artifacts):
    store.release(claimed.lease)
    assert {INPUT, CHECKPOINT} <= {artifact.key for artifact in artifacts.find()}


def test_an_artifact_store_that_is_away_keeps_nobody_from_ending_the_job(
    store, claimed, artifacts, monkeypatch
):
    def away(*_: object) -> None:
        raise ArtifactStoreUnavailableError("away")

    monkeypatch.setattr(artifacts, "delete", away)
    assert store.fail(claimed.lease, ERROR).state.is_final
