"""The store that every process uses: with the verb that ends a job, its inputs are gone."""

from pathlib import Path

import pytest

from jobs.artifacts_local import LocalArtifactStore
from jobs.errors import ArtifactStoreUnavailableError
from jobs.inputs import input_key, local_inputs
from jobs.policy import Policy
from jobs.state import JobError, JobState, NewJob
from jobs.store_redis import connect
from jobs.store_tidy import TidyJobStore
from tests.contract.artifact_helpers import CONTENT, keys

ERROR = JobError("code", "A sentence.")
QUEUE = "i2v-A14B"


class AwayArtifacts(LocalArtifactStore):
    """A directory that cannot be written just now."""

    away = False

    def delete(self, key: str) -> None:
        if self.away:
            raise ArtifactStoreUnavailableError("The directory is away.")
        super().delete(key)


@pytest.fixture
def artifacts(tmp_path: Path) -> AwayArtifacts:
    return AwayArtifacts(tmp_path / "artifacts")


@pytest.fixture
def store(redis_url, artifacts):
    with connect(redis_url) as redis:
        yield TidyJobStore(redis, Policy(lease_seconds=0, max_attempts=1), artifacts)


@pytest.fixture
def job(store, artifacts, video):
    key = input_key("job_1", "image", "png")
    artifacts.put(key, video)
    artifacts.put("job_1/1.mp4", video)
    return store.submit(NewJob(id="job_1", queue=QUEUE, spec={"inputs": {"image": key}}))


@pytest.fixture
def lease(store, job):
    return store.claim(QUEUE, "worker-1").lease


def left(artifacts) -> list[str]:
    return [key for key in keys(artifacts) if "/in/" in key]


def test_the_clients_cancel_of_a_queued_job(store, artifacts, job):
    store.cancel(job.id)
    assert keys(artifacts) == ["job_1/1.mp4"]


@pytest.mark.parametrize(
    "verb",
    [
        lambda store, lease: store.succeed(lease, {"artifact": "job_1/1.mp4"}),
        lambda store, lease: store.fail(lease, ERROR),
        lambda store, lease: store.retry(lease, ERROR),
        lambda store, lease: store.cancel(lease.job_id) and store.release(lease),
        lambda store, _lease: store.rescue()[0],
    ],
    ids=["success", "failure", "last attempt", "cancel", "rescue of the last attempt"],
)
def test_every_end_of_an_attempt_that_is_the_jobs_end(store, artifacts, lease, verb):
    assert left(artifacts)
    ended = verb(store, lease)
    assert ended.state.is_final
    assert keys(artifacts) == ["job_1/1.mp4"]


def test_a_job_that_goes_round_again_keeps_its_inputs(store, artifacts, lease):
    assert store.release(lease).state is JobState.QUEUED
    assert left(artifacts)


def test_an_expiry_in_the_queue(store, artifacts, job, video):
    key = input_key("job_2", "image", "png")
    artifacts.put(key, video)
    store.submit(NewJob(id="job_2", queue=QUEUE, spec={"inputs": {"image": key}}, expires_in=0))
    assert [expired.id for expired in store.expire()] == ["job_2"]
    assert left(artifacts) == list(job.spec["inputs"].values())


def test_an_artifact_store_that_is_away_stops_no_verb(store, artifacts, job, caplog):
    artifacts.away = True
    assert store.cancel(job.id).state is JobState.CANCELLED
    assert "left for the sweep" in caplog.text


def test_a_worker_gets_copies_that_are_gone_when_it_is_done(artifacts, job):
    with local_inputs(artifacts, job.spec["inputs"]) as files:
        assert files["image"].read_bytes() == CONTENT
        assert files["image"].suffix == ".png"
    assert not files["image"].exists()
