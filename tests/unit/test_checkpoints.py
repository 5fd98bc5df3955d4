"""Saving a run's state beside the run, and finding what an earlier attempt saved."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import pytest

from jobs.artifacts import Artifact
from jobs.artifacts_local import LocalArtifactStore
from jobs.checkpoints import forget_checkpoints
from jobs.errors import ArtifactStoreUnavailableError
from jobs.state import Lease
from tests.unit.worker_parts import PATIENCE_SECONDS, Clock
from workers.checkpoints import JobCheckpoints

JOB = "job_1"
EVERY_SECONDS = 60.0


class Artifacts(LocalArtifactStore):
    """A directory that may be away, and slow."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.away = False
        self.go_on = Event()
        self.go_on.set()

    def put(self, key: str, source: Path, about=None) -> Artifact:
        assert self.go_on.wait(PATIENCE_SECONDS)
        if self.away:
            raise ArtifactStoreUnavailableError("away")
        return super().put(key, source)

    def find(self, prefix: str = "") -> Iterator[Artifact]:
        if self.away:
            raise ArtifactStoreUnavailableError("away")
        return super().find(prefix)

    def keys(self) -> list[str]:
        return [artifact.key for artifact in self.find()]


@pytest.fixture
def artifacts(tmp_path) -> Artifacts:
    return Artifacts(tmp_path / "artifacts")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def attempt(artifacts, clock) -> Iterator[Callable[..., JobCheckpoints]]:
    """Makes the checkpoints of an attempt."""
    with ThreadPoolExecutor(1) as saver:
        made: list[JobCheckpoints] = []

        def make(
            number: int, every_seconds: float = EVERY_SECONDS, leaving: Callable[[], bool] = lambda: False
        ) -> JobCheckpoints:
            lease = Lease(JOB, "w1", number)
            made.append(
                JobCheckpoints(
                    lease,
                    artifacts,
                    lambda: "print",
                    saver,
                    every_seconds=every_seconds,
                    leaving=leaving,
                    clock=clock,
                )
            )
            return made[-1]

        yield make
        for checkpoints in made:
            checkpoints.close()


def write(path: Path) -> None:
    path.write_text(path.name)


def saved(checkpoints: JobCheckpoints, step: int) -> None:
    checkpoints.save(step, write)
    checkpoints.close()


class TestWhenOneIsDue:
    def test_is_every_so_many_seconds(self, attempt, clock):
        checkpoints = attempt(1)
        clock.sleep(EVERY_SECONDS - 1)
        assert not checkpoints.due()
        clock.sleep(1)
        assert checkpoints.due()
        saved(checkpoints, 1)
        assert not checkpoints.due()
        clock.sleep(EVERY_SECONDS)
        assert checkpoints.due()

    def test_is_never_where_they_are_switched_off(self, attempt, clock):
        checkpoints = attempt(1, every_seconds=0, leaving=lambda: True)
        clock.sleep(1e9)
        assert not checkpoints.due()

    def test_is_not_while_another_one_is_being_saved(self, attempt, clock, artifacts):
        checkpoints = attempt(1)
        artifacts.go_on.clear()
        checkpoints.save(1, write)
        clock.sleep(EVERY_SECONDS * 2)
        assert not checkpoints.due()
        artifacts.go_on.set()
        checkpoints.close()
        assert checkpoints.due()

    def test_is_always_when_the_worker_is_about_to_leave(self, attempt, artifacts):
        checkpoints = attempt(1, leaving=lambda: True)
        assert checkpoints.due()
        artifacts.go_on.clear()
        checkpoints.save(1, write)
        assert checkpoints.due()
        artifacts.go_on.set()


class TestSaving:
    def test_does_not_keep_the_run_waiting(self, attempt, artifacts):
        artifacts.go_on.clear()
        checkpoints = attempt(1)
        checkpoints.save(1, write)
        assert artifacts.keys() == []
        artifacts.go_on.set()
        checkpoints.close()
        assert artifacts.keys() == [f"{JOB}/checkpoint/1-1.safetensors"]

    def test_replaces_the_one_before(self, attempt, artifacts):
        checkpoints = attempt(1)
        for step in (1, 2, 30):
            saved(checkpoints, step)
        assert artifacts.keys() == [f"{JOB}/checkpoint/1-30.safetensors"]

    def test_replaces_the_one_of_the_attempt_before(self, attempt, artifacts):
        saved(attempt(1), 30)
        later = attempt(2)
        assert later.resume()
        saved(later, 31)
        assert artifacts.keys() == [f"{JOB}/checkpoint/2-31.safetensors"]

    def test_that_fails_keeps_the_one_before_and_harms_nobody(self, attempt, artifacts, caplog):
        checkpoints = attempt(1)
        saved(checkpoints, 1)
        artifacts.away = True
        saved(checkpoints, 2)
        artifacts.away = False
        assert artifacts.keys() == [f"{JOB}/checkpoint/1-1.safetensors"]
        assert "Step 2 is not saved: away" in caplog.messages
        saved(checkpoints, 3)
        assert artifacts.keys() == [f"{JOB}/checkpoint/1-3.safetensors"]

    @pytest.mark.parametrize("error", [OSError("disk full"), ZeroDivisionError("nobody thought of this")])
    def test_a_state_that_cannot_be_written_harms_nobody(self, attempt, artifacts, error):
        def broken(_path: Path) -> None:
            raise error

        checkpoints = attempt(1)
        checkpoints.save(1, broken)
        checkpoints.close()
        assert artifacts.keys() == []


class TestResuming:
    def test_the_first_attempt_has_nothing_to_go_on_from(self, attempt):
        checkpoints = attempt(1)
        assert checkpoints.resume() is None
        assert not checkpoints.resumed

    def test_a_later_attempt_goes_on_from_what_was_saved(self, attempt):
        saved(attempt(1), 30)
        later = attempt(2)
        file = later.resume()
        assert file
        assert (file.read_text(), later.resumed) == ("30.safetensors", True)

    def test_the_latest_attempt_and_its_latest_step_count(self, attempt, artifacts, tmp_path):
        source = tmp_path / "state"
        for name in ("1-90", "2-9", "2-10"):
            source.write_text(name)
            artifacts.put(f"{JOB}/checkpoint/{name}.safetensors", source)
        source.write_text("something else")
        artifacts.put(f"{JOB}/checkpoint/notes.txt", source)
        file = attempt(3).resume()
        assert file
        assert file.read_text() == "2-10"

    def test_a_store_that_is_away_means_starting_over(self, attempt, artifacts):
        saved(attempt(1), 30)
        artifacts.away = True
        assert attempt(2).resume() is None

    def test_one_that_breaks_the_run_can_be_thrown_away(self, attempt, artifacts):
        saved(attempt(1), 30)
        later = attempt(2)
        later.resume()
        later.discard()
        assert (later.resumed, later.resume(), artifacts.keys()) == (False, None, [])

    def test_nothing_stays_on_this_machine(self, attempt):
        saved(attempt(1), 30)
        later = attempt(2)
        file = later.resume()
        assert file
        later.close()
        assert not file.parent.exists()


def test_all_of_a_job_and_nothing_else_is_forgotten(attempt, artifacts, tmp_path):
    source = tmp_path / "video"
    source.write_text("a video")
    artifacts.put(f"{JOB}/1.mp4", source)
    artifacts.put("job_2/checkpoint/1-1.safetensors", source)
    saved(attempt(1), 30)
    forget_checkpoints(artifacts, JOB)
    assert artifacts.keys() == [f"{JOB}/1.mp4", "job_2/checkpoint/1-1.safetensors"]
