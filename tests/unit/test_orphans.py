"""The slow sweep: what it takes, what it leaves, and when."""

from datetime import UTC, datetime

import pytest
from ulid import ULID

from jobs.artifacts_local import LocalArtifactStore
from jobs.inputs import input_key, job_of_input
from jobs.policy import Policy
from jobs.state import NewJob
from jobs.store_memory import MemoryJobStore
from jobs.uploads import made_at, upload_key
from tests.unit.worker_parts import Clock
from workers.orphans import Orphans

HOUR = 3600.0
UPLOAD_SECONDS = 24 * HOUR


class Bench:
    """A store and a directory, with a clock that stands still until it is moved."""

    def __init__(self, directory) -> None:
        self.clock = Clock()
        self.store = MemoryJobStore(Policy(), self.clock)
        self.artifacts = LocalArtifactStore(directory / "artifacts")
        self.orphans = Orphans(self.store, self.artifacts, UPLOAD_SECONDS, self.clock)
        self._file = directory / "file"
        self._file.write_bytes(b"bytes")

    def new_id(self, kind: str, age: float = 0) -> str:
        return f"{kind}_{ULID.from_timestamp(self.clock() - age)}".lower()

    def put(self, key: str) -> str:
        self.artifacts.put(key, self._file)
        return key

    def job(self) -> str:
        job_id = self.new_id("job")
        self.store.submit(NewJob(id=job_id, queue="i2v-A14B", spec={}))
        return job_id

    def keys(self) -> list[str]:
        return [artifact.key for artifact in self.artifacts.find()]


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path)


def test_the_inputs_of_a_job_stay_until_it_ends(bench):
    job_id = bench.job()
    key = bench.put(input_key(job_id, "image", "png"))
    bench.clock.sleep(30 * 24 * HOUR)
    bench.orphans.sweep()
    assert bench.keys() == [key]
    bench.store.cancel(job_id)
    bench.orphans.sweep()
    assert bench.keys() == []


def test_the_video_of_a_job_that_ended_stays(bench):
    job_id = bench.job()
    video = bench.put(f"{job_id}/1.mp4")
    bench.put(input_key(job_id, "image", "png"))
    bench.store.cancel(job_id)
    bench.orphans.sweep()
    assert bench.keys() == [video]


def test_inputs_without_a_job_go_after_an_hour(bench):
    young = bench.put(input_key(bench.new_id("job", age=HOUR - 60), "image", "png"))
    bench.put(input_key(bench.new_id("job", age=HOUR + 60), "image", "png"))
    bench.orphans.sweep()
    assert bench.keys() == [young]


def test_uploads_go_when_their_time_is_up(bench):
    young = bench.put(upload_key("default", bench.new_id("asset", age=UPLOAD_SECONDS - 60)))
    bench.put(upload_key("default", bench.new_id("asset", age=UPLOAD_SECONDS + 60)))
    bench.orphans.sweep()
    assert bench.keys() == [young]


def test_what_is_not_ours_to_judge_stays(bench):
    strange = [bench.put(key) for key in ("other/in/image.png", "uploads/default/notes.txt")]
    bench.orphans.sweep()
    assert bench.keys() == strange


def test_ids_tell_when_they_were_made():
    assert made_at("asset_01arz3ndektsv4rrffq69g5fav") == datetime(
        2016, 7, 30, 23, 54, 10, 259000, tzinfo=UTC
    )
    assert made_at("job_01arz3ndektsv4rrffq69g5fav") == made_at("asset_01arz3ndektsv4rrffq69g5fav")
    for other in ("", "asset_", "asset_8zzzzzzzzzzzzzzzzzzzzzzzzz", "thing_01arz3ndektsv4rrffq69g5fav"):
        assert made_at(other) is None


@pytest.mark.parametrize(
    ("key", "job_id"),
    [("job_1/in/a.png", "job_1"), ("job_1/1.mp4", None), ("job_1/in", None), ("in/a", None)],
)
def test_keys_tell_whose_input_they_hold(key, job_id):
    assert job_of_input(key) == job_id
