"""The second half of a job: what the record tells of the video, and what is left behind."""

import hashlib
from pathlib import Path
from tempfile import gettempdir
from threading import Event
from typing import Any

import numpy as np
import pytest

import workers.upload
from jobs.artifacts import Artifact
from jobs.artifacts_local import LocalArtifactStore
from jobs.errors import ArtifactStoreUnavailableError
from jobs.policy import Policy
from jobs.state import JobState
from tests.unit.worker_parts import PATIENCE_SECONDS, Clock, DirectKeeper, FlakyStore, new_job
from workers.attempts import Attempts
from workers.backoff import Backoff
from workers.finisher import Finisher, RawVideo
from workers.lease import Hold
from workers.outcome import Outcome
from workers.recovery import Recovery

CONTENT = b"an encoded video"


class Encoder:
    """Writes ``CONTENT``, and notes what it was given and where it wrote."""

    def __init__(self) -> None:
        self.given: list[tuple[Any, int, Any]] = []
        self.files: list[Path] = []
        self.go_on = Event()
        self.go_on.set()
        self.error: Exception | None = None

    def __call__(self, frames: Any, path: Path, fps: int, audio: Any) -> None:
        self.given.append((frames, fps, audio))
        self.files.append(path)
        assert self.go_on.wait(PATIENCE_SECONDS)
        path.write_bytes(CONTENT)
        if self.error:
            raise self.error


@pytest.fixture
def store() -> FlakyStore:
    return FlakyStore(Policy(lease_seconds=30), Clock())


@pytest.fixture
def encoder() -> Encoder:
    return Encoder()


@pytest.fixture
def artifacts(tmp_path) -> LocalArtifactStore:
    return LocalArtifactStore(tmp_path)


@pytest.fixture
def keeper(store) -> DirectKeeper:
    return DirectKeeper(store, Clock())


@pytest.fixture
def finisher(store, artifacts, encoder, keeper):
    outcome = Outcome(
        store, Attempts(patience_seconds=0), keeper, Recovery(lambda: False), Backoff(10, lambda: 0.5)
    )
    finisher = Finisher(store, artifacts, outcome, encoder)
    yield finisher
    finisher.close()


@pytest.fixture
def held(store: FlakyStore, keeper: DirectKeeper) -> Hold:
    job = store.claim(store.submit(new_job()).queue, "w1")
    assert job
    return keeper.hold(job.lease)


@pytest.fixture
def video() -> RawVideo:
    frames = np.zeros((5, 64, 96, 3), dtype=np.uint8)
    metrics = {"denoise_seconds": 1.23456, "load_seconds": 0.0, "peak_memory_mb": None}
    return RawVideo(frames, 16, metrics, audio="a sound")


def test_the_record_tells_all_there_is_to_know_of_the_video(finisher, held, video, store):
    finisher.finish(held, video)
    finisher.wait()
    job = store.get(held.lease.job_id)
    assert job.state is JobState.COMPLETED
    metrics = job.result["metrics"]
    assert job.result == {
        "artifact": "job_0001/1.mp4",
        "size": len(CONTENT),
        "sha256": hashlib.sha256(CONTENT).hexdigest(),
        "width": 96,
        "height": 64,
        "frames": 5,
        "fps": 16,
        "metrics": metrics,
    }
    assert metrics.pop("encode_seconds") >= 0
    assert metrics.pop("upload_seconds") >= 0
    assert metrics == {"denoise_seconds": 1.2346, "load_seconds": 0.0, "peak_memory_mb": None}


def test_the_stored_file_is_what_the_encoder_wrote_from_frames_and_sound(
    finisher, held, video, artifacts, encoder
):
    finisher.finish(held, video)
    finisher.wait()
    ((frames, fps, audio),) = encoder.given
    assert frames is video.frames
    assert (fps, audio) == (16, "a sound")
    assert b"".join(artifacts.read("job_0001/1.mp4")) == CONTENT


def test_an_encoder_that_breaks_has_the_job_tried_again(finisher, held, video, store, encoder):
    encoder.error = ValueError("odd side")
    finisher.finish(held, video)
    finisher.wait()
    job = store.get(held.lease.job_id)
    assert (job.state, job.error.code) == (JobState.QUEUED, "internal_error")


@pytest.mark.parametrize("error", [None, ValueError("odd side")])
def test_no_scratch_file_is_left(finisher, held, video, encoder, error):
    encoder.error = error
    finisher.finish(held, video)
    finisher.wait()
    (file,) = encoder.files
    assert file.is_relative_to(gettempdir())
    assert not file.parent.exists()


def test_the_metrics_of_the_gpu_stage_are_not_written_to(finisher, held, video):
    finisher.finish(held, video)
    finisher.wait()
    assert set(video.metrics) == {"denoise_seconds", "load_seconds", "peak_memory_mb"}


def test_taking_over_does_not_wait_for_the_encoder(finisher, held, video, store, encoder):
    encoder.go_on.clear()
    finisher.finish(held, video)
    assert store.get(held.lease.job_id).state is JobState.IN_PROGRESS
    encoder.go_on.set()
    finisher.wait()
    assert store.get(held.lease.job_id).state is JobState.COMPLETED


def test_a_store_that_refuses_every_outcome_does_not_trouble_the_next_job(
    finisher, held, video, store, monkeypatch
):
    def refuse(*_: object) -> None:
        raise RuntimeError("Nobody thought of this.")

    with monkeypatch.context() as broken:
        broken.setattr(store, "succeed", refuse)
        broken.setattr(store, "fail", refuse)
        finisher.finish(held, video)
        finisher.wait()
    job = store.claim(store.submit(new_job(2)).queue, "w1")
    finisher.finish(DirectKeeper(store, Clock()).hold(job.lease), video)
    finisher.wait()
    assert store.get(job.id).state is JobState.COMPLETED


def test_a_store_that_fails_for_a_while_costs_no_attempt(finisher, held, video, store, monkeypatch):
    monkeypatch.setattr(workers.upload, "time", Clock())
    failures = [ArtifactStoreUnavailableError("away")] * 3
    put = LocalArtifactStore.put

    def fail_at_first(self: LocalArtifactStore, key: str, source: Path, about: object) -> Artifact:
        if failures:
            raise failures.pop()
        return put(self, key, source)

    monkeypatch.setattr(LocalArtifactStore, "put", fail_at_first)
    finisher.finish(held, video)
    finisher.wait()
    job = store.get(held.lease.job_id)
    assert (job.state, job.attempt) == (JobState.COMPLETED, 1)


def test_closing_finishes_the_video_in_hand(finisher, held, video, store):
    finisher.finish(held, video)
    finisher.close()
    assert store.get(held.lease.job_id).state is JobState.COMPLETED
