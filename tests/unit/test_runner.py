"""One job after another on one device: a worker's whole path, with a pipeline that does as it is told."""

import logging
from collections.abc import Callable
from concurrent.futures import Executor, Future
from functools import partial
from pathlib import Path
from threading import Event, Thread
from typing import Any

import numpy as np
import pytest
from structlog.contextvars import get_contextvars

import workers.upload
from jobs.artifacts import Artifact
from jobs.artifacts_local import LocalArtifactStore
from jobs.disks import Disks
from jobs.errors import ArtifactStoreUnavailableError, StoreUnavailableError
from jobs.policy import Policy
from jobs.state import Job, JobError, JobState
from tests.unit.worker_parts import (
    PATIENCE_SECONDS,
    QUEUE,
    Clock,
    DirectKeeper,
    FlakyStore,
    new_job,
)
from wan_models.errors import DeviceFaultError, DeviceMemoryError, GenerationError, ModelNotInstalledError
from wan_models.pipeline import GeneratedVideo, Pipeline, Run
from wan_models.registry import Registry
from wan_models.request import VideoRequest
from wan_models.speech_local import LocalSpeaker
from workers.attempts import Attempts
from workers.backoff import Backoff
from workers.checkpoints import Checkpointing
from workers.drain import Drain
from workers.finisher import Finisher
from workers.inputs import JobInputs
from workers.outcome import Outcome
from workers.previews import Previews
from workers.recovery import Recovery
from workers.runner import Runner

LEASE_SECONDS = 30


class ToldPipeline:
    """Takes its steps and notes them by the job's number, which is its seed; tests hook into each."""

    def __init__(self) -> None:
        self.steps: list[tuple[int, int]] = []
        self.before_step: Callable[[int, int], None] = lambda _job, _step: None
        self.resumed_step = 0

    def generate(self, request: VideoRequest, run: Run) -> GeneratedVideo:
        saved = run.checkpoints.resume() if run.checkpoints else None
        self.resumed_step = int(saved.read_text()) if saved else 0
        for step in range(self.resumed_step + 1, request.sample_steps + 1):
            self.before_step(request.base_seed, step)
            self.steps.append((request.base_seed, step))
            if run.checkpoints and run.checkpoints.due():
                run.checkpoints.save(step, partial(write_step, step))
            if run.on_preview and step % 2 == 0:
                run.on_preview(step, b"a picture")
            run.on_step(step, request.sample_steps)
        shape = (request.frame_num, request.height, request.width, 3)
        frames = np.full(shape, request.base_seed, dtype=np.uint8)
        return GeneratedVideo(frames, {"denoise_seconds": 1.23456, "peak_memory_mb": None})


def write_step(step: int, path: Path) -> None:
    path.write_text(str(step))


class OnePipeline(Registry):
    def __init__(self, pipeline: Pipeline) -> None:
        super().__init__(Path("nowhere"))
        self.pipeline: Pipeline | None = pipeline

        self.did: list[str] = []
        self.plans = ["resident", "model-offload", "group-offload"]

    def load(self, task: str) -> Pipeline:
        if self.pipeline is None:
            raise ModelNotInstalledError(task)
        self.did.append(self.plans[0])
        return self.pipeline

    def lower(self, task: str) -> bool:
        self.plans.pop(0)
        return bool(self.plans)

    def clean(self) -> None:
        self.did.append("clean")

    def free(self) -> None:
        self.did.append("free")


class FullArtifacts(LocalArtifactStore):
    """A directory that may be full, and that remembers what the last file came from."""

    full = False
    about: dict[str, str] | None = None

    def put(self, key: str, source: Path, about=None) -> Artifact:
        self.about = about
        if self.full:
            raise ArtifactStoreUnavailableError("The artifact directory is full.")
        return super().put(key, source)


class AtOnce(Executor):
    """Does what it is given before it returns."""

    def submit(self, do: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        done: Future[Any] = Future()
        done.set_result(do(*args, **kwargs))
        return done


class Bench:
    """A worker's parts on one table, without a process or a thread but the finisher's."""

    def __init__(self, directory: Path, grace_seconds: float = 3600, every_seconds: float = 0) -> None:
        self.clock = Clock()
        self.store = FlakyStore(Policy(lease_seconds=LEASE_SECONDS), self.clock)
        self.artifacts = FullArtifacts(directory / "artifacts")
        self.pipeline = ToldPipeline()
        self.registry = OnePipeline(self.pipeline)
        self.drain = Drain(grace_seconds)
        checkpointing = Checkpointing(self.artifacts, directory / "models", AtOnce(), every_seconds)
        self.before_encode: Callable[[int], None] = lambda _job: None
        self.keeper = keeper = DirectKeeper(self.store, self.clock)
        self.free_bytes = 10
        self.while_waiting: Callable[[], None] = lambda: None
        disks = Disks({"data": Path()}, 10, lambda _: self.free_bytes)
        recovery = Recovery(self._is_leaving, disks, lambda _: self.while_waiting())
        outcome = Outcome(self.store, Attempts(patience_seconds=0), keeper, recovery, Backoff(0))
        self.finisher = Finisher(self.store, self.artifacts, outcome, self._encode)
        self.runner = Runner(
            worker="w1",
            store=self.store,
            registry=self.registry,
            keeper=keeper,
            outcome=outcome,
            finisher=self.finisher,
            drain=self.drain,
            recovery=recovery,
            inputs=JobInputs(self.artifacts, LocalSpeaker()),
            checkpointing=checkpointing,
            previews=lambda held: Previews(held.lease.job_id, self.artifacts, AtOnce(), held.note_preview),
        )

    def _is_leaving(self) -> bool:
        return self.drain.has_begun()

    def _encode(self, frames: Any, path: Path, fps: int, _audio: Any) -> None:
        self.before_encode(int(frames[0, 0, 0, 0]))
        path.write_bytes(frames.tobytes())

    def submit(self, number: int = 1, **changes: Any) -> str:
        return self.store.submit(new_job(number, **changes)).id

    def run(self, job_id: str) -> Job:
        """Run a job to the end of its video."""
        self.runner.run(QUEUE)
        self.finisher.wait()
        return self.store.get(job_id)

    def log(self, job_id: str) -> list[str]:
        return [event.type for event in self.store.events(job_id)]

    def stored(self) -> list[str]:
        return [artifact.key for artifact in self.artifacts.find()]


@pytest.fixture
def bench(tmp_path):
    bench = Bench(tmp_path)
    yield bench
    bench.finisher.close()


@pytest.fixture
def impatient(tmp_path):
    """A worker that gives its job no grace when it drains."""
    bench = Bench(tmp_path, grace_seconds=0)
    yield bench
    bench.finisher.close()


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch):
    """A store that fails is tried again at once."""
    monkeypatch.setattr(workers.upload, "time", Clock())


class TestAFullDisk:
    def test_keeps_the_worker_from_claiming_until_there_is_room(self, bench):
        job_id, states = bench.submit(), []

        def make_room() -> None:
            states.append(bench.store.get(job_id).state)
            bench.free_bytes = 10 if len(states) == 3 else 9

        bench.free_bytes = 9
        bench.while_waiting = make_room
        assert bench.run(job_id).state == "completed"
        assert states == ["queued"] * 3

    def test_does_not_keep_a_worker_from_shutting_down_which_claims_nothing_then(self, bench):
        bench.free_bytes = 0
        bench.while_waiting = bench.drain.begin
        assert bench.run(bench.submit()).state == "queued"

    @pytest.mark.parametrize("kind", [OSError, ArtifactStoreUnavailableError])
    def test_costs_a_job_that_it_broke_none_of_its_attempts(self, bench, kind):
        def fill(_job: int) -> None:
            bench.free_bytes = 0
            raise OSError(28, "No space left on device") if kind is OSError else kind("Full.")

        def make_room() -> None:
            bench.free_bytes, bench.before_encode = 10, lambda _job: None

        bench.before_encode, bench.while_waiting = fill, make_room
        back = bench.run(bench.submit())
        assert (back.state, back.attempt, back.failures) == ("queued", 1, 0)
        done = bench.run(back.id)
        assert (done.state, done.attempt, done.failures) == ("completed", 2, 0)
        assert bench.log(back.id).count("queued") == 2

    def test_that_has_room_again_without_the_job_is_the_jobs_own_fault_and_costs_an_attempt(self, bench):
        def fill(_job: int) -> None:
            raise OSError(28, "No space left on device")

        bench.before_encode = fill
        back = bench.run(bench.submit())
        assert (back.state, back.failures) == ("queued", 1)
        assert back.error
        assert back.error.code == "worker_disk"


def test_no_job_is_claimed_that_nobody_would_renew_the_lease_of(bench):
    bench.keeper.is_there = False
    assert bench.run(bench.submit()).state == "queued"
    bench.keeper.is_there = True
    assert bench.run("job_0001").state == "completed"


class TestAClaimedJob:
    def test_is_completed_with_its_video_stored_under_its_attempt(self, bench):
        job = bench.run(bench.submit())
        assert (job.state, job.attempt, job.worker) == (JobState.COMPLETED, 1, "w1")
        assert bench.stored() == ["job_0001/1.mp4"]

    def test_tells_with_its_video_and_in_every_log_line_what_it_came_from(self, bench, caplog, monkeypatch):
        facts = {"job": "job_0001", "tenant": "acme", "request-id": "r-1", "traceparent": "00-1-2-01"}
        said: list[str] = []

        def note_context(record: logging.LogRecord) -> bool:
            said.append(" ".join(f"{name}={value}" for name, value in sorted(get_contextvars().items())))
            return True

        caplog.set_level("INFO")
        monkeypatch.setattr(caplog.handler, "filters", [note_context])
        bench.run(bench.submit(tenant="acme", request_id="r-1", traceparent="00-1-2-01"))
        assert bench.artifacts.about == facts
        assert set(said) == {"attempt=1 job=job_0001 request_id=r-1 tenant=acme trace_id=1 worker=w1"}

    def test_reports_its_stages_and_steps_in_order(self, bench):
        told: list[tuple[str, int, int]] = []
        beat = bench.store.heartbeat

        def noted(lease, progress=None):
            if progress:
                told.append((progress.stage, progress.step, progress.steps))
            return beat(lease, progress)

        bench.store.heartbeat = noted
        bench.run(bench.submit(steps=2))
        assert told == [
            ("loading", 0, 2),
            ("denoising", 1, 2),
            ("decoding", 2, 2),
            ("encoding", 2, 2),
            ("uploading", 2, 2),
        ]

    def test_tells_in_its_metrics_how_long_it_waited(self, bench):
        job_id = bench.submit()
        bench.clock.sleep(7.5)
        job = bench.run(job_id)
        assert job.result
        assert job.result["metrics"]["queue_seconds"] == 7.5
        assert set(job.result["metrics"]) == {
            "queue_seconds",
            "load_seconds",
            "models_loaded",
            "models_evicted",
            "denoise_seconds",
            "peak_memory_mb",
            "encode_seconds",
            "upload_seconds",
        }

    def test_is_run_by_one_message_alone(self, bench):
        job_id = bench.submit()
        first = bench.run(job_id)
        log = bench.log(job_id)
        assert bench.run(job_id) == first
        assert bench.log(job_id) == log
        assert len(bench.pipeline.steps) == 4


def test_a_message_that_finds_no_job_to_claim_changes_nothing(bench):
    bench.submit()
    bench.store.claim(QUEUE, "w2")
    bench.runner.run(QUEUE)
    assert bench.store.get("job_0001").worker == "w2"
    assert bench.pipeline.steps == []


def test_a_claim_whose_answer_got_lost_is_made_again_and_gives_the_same_job(bench):
    claim, lost = bench.store.claim, list[Job | None]()

    def forgetful(*args: Any) -> Job | None:
        job: Job | None = claim(*args)
        if not lost:
            lost.append(job)
            raise StoreUnavailableError("The answer got lost.")
        return job

    bench.store.claim = forgetful
    job = bench.run(bench.submit())
    assert (job.state, job.attempt) == (JobState.COMPLETED, 1)
    assert [claimed.id for claimed in lost if claimed] == [job.id]


class TestACancel:
    def test_of_a_running_job_stops_it_at_the_next_step_and_frees_the_worker(self, bench):
        bench.pipeline.before_step = lambda job, step: (
            bench.store.cancel("job_0001") if (job, step) == (1, 2) else None
        )
        job = bench.run(bench.submit(1))
        assert job.state is JobState.CANCELLED
        assert bench.pipeline.steps == [(1, 1), (1, 2)]
        assert bench.stored() == []
        assert bench.run(bench.submit(2)).state is JobState.COMPLETED

    def test_while_the_video_is_encoded_publishes_nothing(self, bench):
        bench.before_encode = lambda _job: bench.store.cancel("job_0001")
        job = bench.run(bench.submit())
        assert (job.state, job.result) == (JobState.CANCELLED, None)
        assert bench.stored() == []


class TestADrain:
    def test_without_a_grace_gives_the_job_back_at_the_next_step(self, impatient):
        impatient.pipeline.before_step = lambda _job, step: impatient.drain.begin() if step == 2 else None
        job = impatient.run(impatient.submit())
        assert (job.state, job.failures, job.worker) == (JobState.QUEUED, 0, None)
        assert impatient.pipeline.steps == [(1, 1), (1, 2)]

    def test_lets_a_job_that_ends_within_the_grace_complete(self, bench):
        bench.pipeline.before_step = lambda *_: bench.drain.begin()
        assert bench.run(bench.submit()).state is JobState.COMPLETED

    def test_never_throws_away_a_video_that_is_being_encoded(self, impatient):
        impatient.before_encode = lambda _job: impatient.drain.begin()
        assert impatient.run(impatient.submit()).state is JobState.COMPLETED

    def test_that_never_began_stops_nothing(self, impatient):
        assert impatient.run(impatient.submit()).state is JobState.COMPLETED


class TestAFault:
    def test_of_the_pipeline_fails_the_job_with_a_code_and_frees_the_worker(self, bench):
        def break_down(job: int, _step: int) -> None:
            if job == 1:
                raise GenerationError("The model broke: out of memory.")

        bench.pipeline.before_step = break_down
        job = bench.run(bench.submit(1))
        assert (job.state, job.error) == (
            JobState.FAILED,
            JobError("generation_failed", "The model broke: out of memory."),
        )
        assert bench.run(bench.submit(2)).state is JobState.COMPLETED

    def test_of_the_models_directory_fails_the_job_and_says_what_to_do(self, bench):
        bench.registry.pipeline = None
        job = bench.run(bench.submit())
        assert job.state is JobState.FAILED
        assert job.error
        assert "download_wan_models.py --model t2v-A14B" in job.error.message

    def test_in_the_spec_of_a_job_fails_it_instead_of_the_worker(self, bench):
        job = bench.run(bench.submit(spec={"prompt": "from another version"}))
        assert (job.state, job.error.code) == (JobState.FAILED, "generation_failed")

    def test_of_the_upload_has_the_job_tried_again_and_the_next_attempt_publishes_its_own_file(self, bench):
        bench.artifacts.full = True
        job = bench.run(bench.submit())
        assert (job.state, job.failures) == (JobState.QUEUED, 1)
        assert job.error == JobError("artifact_store_unavailable", "The artifact directory is full.")
        bench.artifacts.full = False
        again = bench.run(job.id)
        assert again.state is JobState.COMPLETED
        assert again.result
        assert again.result["artifact"] == "job_0001/2.mp4"

    def test_that_cost_the_lease_stops_the_run_and_leaves_the_job_to_the_next_attempt(self, bench):
        def lose_the_lease(_job: int, step: int) -> None:
            if step == 2:
                bench.clock.sleep(LEASE_SECONDS + 1)
                bench.store.rescue()

        bench.pipeline.before_step = lose_the_lease
        job = bench.run(bench.submit())
        assert (job.state, job.attempt, job.error.code) == (JobState.QUEUED, 1, "worker_lost")
        assert bench.pipeline.steps == [(1, 1), (1, 2)]

    def test_that_cost_the_lease_while_encoding_publishes_nothing(self, bench):
        def lose_the_lease(_job: int) -> None:
            bench.clock.sleep(LEASE_SECONDS + 1)
            bench.store.rescue()
            bench.store.claim(QUEUE, "w2")

        bench.before_encode = lose_the_lease
        job = bench.run(bench.submit())
        assert (job.state, job.worker, job.result) == (JobState.IN_PROGRESS, "w2", None)


class TestADevice:
    def test_with_too_little_memory_is_freed_and_tried_again_with_less_and_less(self, bench):
        def run_out(_job: int, _step: int) -> None:
            if bench.registry.did[-1] != "group-offload":
                raise DeviceMemoryError("Too little.")

        bench.pipeline.before_step = run_out
        assert bench.run(bench.submit()).state is JobState.COMPLETED
        assert bench.registry.did == ["resident", "free", "model-offload", "free", "group-offload", "clean"]

    def test_with_too_little_memory_even_so_fails_the_job_and_says_why(self, bench):
        def run_out(_job: int, _step: int) -> None:
            raise DeviceMemoryError("Too little.")

        bench.pipeline.before_step = run_out
        job = bench.run(bench.submit())
        assert (job.state, job.error) == (JobState.FAILED, JobError("out_of_memory", "Too little."))
        assert bench.registry.did == ["resident", "free", "model-offload", "free", "group-offload", "clean"]
        assert not bench.runner.is_broken

    def test_that_failed_has_the_job_tried_again_by_another_process(self, bench):
        def fail(_job: int, _step: int) -> None:
            raise DeviceFaultError("The device failed.")

        bench.pipeline.before_step = fail
        job = bench.run(bench.submit())
        assert (job.state, job.failures) == (JobState.QUEUED, 1)
        assert bench.runner.is_broken


class TestCheckpoints:
    """They are saved after every step, by a pipeline that counts its steps in a file."""

    @pytest.fixture
    def saving(self, tmp_path):
        bench = Bench(tmp_path, grace_seconds=0, every_seconds=1e-9)
        yield bench
        bench.finisher.close()

    def test_of_a_drained_job_are_complete_before_it_is_given_back(self, saving):
        saving.pipeline.before_step = lambda _job, step: saving.drain.begin() if step == 2 else None
        job = saving.run(saving.submit())
        assert job.state is JobState.QUEUED
        assert saving.stored() == ["job_0001/checkpoint/1-2.safetensors"]

    def test_are_complete_where_the_drain_begins_between_a_step_and_the_look_at_it(self, saving):
        ask = saving.drain.leaves_no

        def begin_behind_the_answer(seconds: float) -> bool:
            answer = ask(seconds)
            saving.drain.begin()
            return bool(answer)

        saving.drain.leaves_no = begin_behind_the_answer
        assert saving.run(saving.submit()).state is JobState.QUEUED
        assert saving.stored() == ["job_0001/checkpoint/1-2.safetensors"]

    def test_spare_the_next_attempt_the_steps_that_were_taken(self, saving):
        def lose_the_lease(_job: int, step: int) -> None:
            if step == 3 and saving.store.get("job_0001").attempt == 1:
                saving.clock.sleep(LEASE_SECONDS + 1)
                saving.store.rescue()

        saving.pipeline.before_step = lose_the_lease
        saving.run(saving.submit())
        job = saving.run("job_0001")
        assert (job.state, job.attempt) == (JobState.COMPLETED, 2)
        assert saving.pipeline.steps == [(1, 1), (1, 2), (1, 3), (1, 4)]

    def test_that_break_the_run_are_thrown_away_and_it_starts_over(self, saving):
        job_id = saving.submit()
        saving.pipeline.before_step = lambda _job, step: saving.drain.begin() if step == 2 else None
        saving.run(job_id)
        saving.drain = saving.runner._drain = Drain(3600)

        def break_down(_job: int, _step: int) -> None:
            if saving.pipeline.resumed_step:
                raise GenerationError("The shapes do not match.")

        saving.pipeline.before_step = break_down
        assert saving.run(job_id).state is JobState.COMPLETED
        assert saving.pipeline.steps[2:] == [(1, 1), (1, 2), (1, 3), (1, 4)]


class TestPreviews:
    def test_are_stored_and_told_of_with_the_progress(self, bench):
        told: list[int] = []
        beat = bench.store.heartbeat

        def noted(lease, progress=None):
            if progress and progress.stage in ("denoising", "decoding"):
                told.append(progress.preview)
            return beat(lease, progress)

        bench.store.heartbeat = noted
        job = bench.run(pictured(bench))
        assert (told, job.progress.preview) == ([0, 2, 2, 4], 4)
        stored = [artifact.key for artifact in bench.artifacts.find(f"{job.id}/preview/")]
        assert sorted(stored) == [f"{job.id}/preview/{step}.jpg" for step in (2, 4)]

    def test_are_taken_only_where_they_are_asked_for(self, bench):
        job = bench.run(bench.submit())
        assert (job.state, job.progress.preview) == ("completed", 0)
        assert list(bench.artifacts.find(f"{job.id}/preview/")) == []

    def test_that_cannot_be_stored_cost_the_job_nothing(self, bench):
        bench.artifacts.full = True
        bench.before_encode = lambda _job: setattr(bench.artifacts, "full", False)
        job = bench.run(pictured(bench))
        assert (job.state, job.progress.preview) == ("completed", 0)


def pictured(bench: Bench) -> str:
    """A job that asks for pictures."""
    return bench.submit(spec={**new_job().spec, "preview": True})


class TestTwoJobs:
    def test_overlap_by_one_alone_the_video_of_one_is_encoded_while_the_next_one_denoises(self, bench):
        encoding, second_denoised, third_denoising, go_on = Event(), Event(), Event(), Event()

        def before_step(job: int, step: int) -> None:
            if (job, step) == (2, 1):
                assert encoding.wait(PATIENCE_SECONDS)
            if (job, step) == (2, 4):
                second_denoised.set()
            if job == 3:
                third_denoising.set()

        def before_encode(job: int) -> None:
            if job == 1:
                encoding.set()
                assert go_on.wait(PATIENCE_SECONDS)

        bench.pipeline.before_step, bench.before_encode = before_step, before_encode
        jobs = [bench.submit(number) for number in (1, 2, 3)]
        device = Thread(target=lambda: [bench.runner.run(QUEUE) for _ in jobs])
        device.start()
        assert second_denoised.wait(PATIENCE_SECONDS)
        assert bench.store.get(jobs[0]).progress.stage == "encoding"
        # The third may not begin before the first is finished, however long that takes.
        began_early = third_denoising.wait(0.3)
        third = bench.store.get(jobs[2])
        go_on.set()
        device.join(PATIENCE_SECONDS)
        bench.finisher.wait()
        assert not began_early
        assert third.state is JobState.QUEUED
        assert [bench.store.get(job_id).state for job_id in jobs] == [JobState.COMPLETED] * 3

    def test_leave_one_file_each(self, bench):
        jobs = [bench.run(bench.submit(number)) for number in (1, 2)]
        assert bench.stored() == ["job_0001/1.mp4", "job_0002/1.mp4"]
        first, second = (job.result["sha256"] for job in jobs)
        assert first != second
