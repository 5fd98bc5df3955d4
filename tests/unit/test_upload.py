"""Storing a finished file: retried with pauses, and read back."""

import hashlib
from pathlib import Path

import pytest

import workers.upload
from jobs.artifacts import Artifact
from jobs.artifacts_local import LocalArtifactStore
from jobs.errors import ArtifactStoreUnavailableError
from tests.unit.worker_parts import Clock
from workers.lease import CancelRequestedError
from workers.upload import upload

CONTENT = b"a video" * 100_000
KEY = "job_1/1.mp4"


class FaultyArtifacts(LocalArtifactStore):
    """Fails, or changes what it is given, so many times."""

    failures = 0
    changes = 0
    losses = 0
    puts = 0

    def put(self, key: str, source: Path, about=None) -> Artifact:
        self.puts += 1
        if self.failures:
            self.failures -= 1
            raise ArtifactStoreUnavailableError("away")
        if self.changes:
            self.changes -= 1
            source = source.with_suffix(".other")
            source.write_bytes(CONTENT[:-1] + b"!")
        stored = super().put(key, source)
        if self.losses:
            self.losses -= 1
            self.delete(key)
        return stored


@pytest.fixture
def clock(monkeypatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(workers.upload, "time", clock)
    return clock


@pytest.fixture
def artifacts(tmp_path) -> FaultyArtifacts:
    return FaultyArtifacts(tmp_path / "artifacts")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "video.mp4"
    file.write_bytes(CONTENT)
    return file


def store(artifacts: FaultyArtifacts, file: Path) -> bytes:
    upload(artifacts, KEY, file, hashlib.sha256(CONTENT).hexdigest(), still_wanted=lambda: None)
    return b"".join(artifacts.read(KEY))


def test_a_store_that_works_takes_it_at_once(artifacts, file, clock):
    before = clock.time
    assert store(artifacts, file) == CONTENT
    assert (artifacts.puts, clock.time) == (1, before)


@pytest.mark.parametrize("fault", ["failures", "changes", "losses"])
def test_a_store_that_fails_is_tried_again_after_ever_longer_pauses(artifacts, file, clock, fault):
    setattr(artifacts, fault, 6)
    times: list[float] = []
    clock.meanwhile = lambda: times.append(clock.time)
    before = clock.time
    assert store(artifacts, file) == CONTENT
    pauses = [after - earlier for earlier, after in zip([before, *times], times, strict=False)]
    assert len(pauses) == 6
    assert all(
        0.6 * expected <= pause <= 1.4 * expected
        for pause, expected in zip(pauses, (0.5, 1, 2, 4, 8, 16), strict=True)
    )


@pytest.mark.parametrize("fault", ["failures", "changes", "losses"])
def test_a_store_that_fails_every_time_is_given_up(artifacts, file, clock, fault):
    setattr(artifacts, fault, 100)
    with pytest.raises(ArtifactStoreUnavailableError):
        store(artifacts, file)
    assert artifacts.puts == 7


def test_a_job_that_is_cancelled_meanwhile_is_not_stored(artifacts, file, clock):
    artifacts.failures = 2
    asked: list[int] = []

    def still_wanted() -> None:
        asked.append(artifacts.puts)
        if len(asked) == 2:
            raise CancelRequestedError

    with pytest.raises(CancelRequestedError):
        upload(artifacts, KEY, file, "", still_wanted=still_wanted)
    assert asked == [0, 1]
