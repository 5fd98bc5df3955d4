"""One job, from claim to the end of its GPU stage. Plain Python: Celery only says which queue."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from uuid import uuid4

from pydantic import ValidationError
from structlog.contextvars import bound_contextvars

from jobs.facts import facts_of
from jobs.state import Job
from jobs.store import JobStore
from telemetry.owners import for_owner
from telemetry.traces import Kind, Traces
from wan_models.errors import DeviceFaultError, DeviceMemoryError, GenerationError
from wan_models.pipeline import OnPreview, Run
from wan_models.registry import Registry
from wan_models.request import VideoRequest
from workers.checkpoints import Checkpointing, JobCheckpoints
from workers.drain import Drain, DrainedError
from workers.finisher import Finisher, RawVideo
from workers.inputs import JobInputs
from workers.lease import Hold, LeaseKeeper
from workers.outcome import Outcome
from workers.pace import Pace
from workers.patience import insist
from workers.previews import Previews
from workers.recovery import Recovery

_PATIENCE_SECONDS = 20  # for a store that is away; later a message finds the next job as well

_log = logging.getLogger(__name__)


class Runner:
    """Runs jobs one after another on this process's device, and hands each video to the finisher."""

    def __init__(
        self,
        *,
        worker: str,
        store: JobStore,
        registry: Registry,
        keeper: LeaseKeeper,
        outcome: Outcome,
        finisher: Finisher,
        drain: Drain,
        recovery: Recovery,
        inputs: JobInputs,
        checkpointing: Checkpointing,
        previews: Callable[[Hold], Previews],
        traces: Traces | None = None,
    ) -> None:
        self._traces = traces or Traces()
        self._worker = worker
        self._store = store
        self._registry = registry
        self._keeper = keeper
        self._outcome = outcome
        self._finisher = finisher
        self._drain = drain
        self._recovery = recovery
        self._inputs = inputs
        self._checkpointing = checkpointing
        self._previews = previews
        self.is_broken = False
        """Whether the device failed: no job will ever succeed in this process again."""

    def run(self, queue: str) -> None:
        """Run the next job of a queue if there is one; a message that comes late or twice changes nothing.

        Raises:
            StoreUnavailableError: the claim could not be made; the relay will send another message.
        """
        if not (self._keeper.wait() and self._recovery.pause()):
            return  # the relay will send another message
        asked_at, nonce = time.time(), uuid4().hex  # by which a claim whose answer got lost is known again
        job = insist(lambda: self._store.claim(queue, self._worker, nonce), _PATIENCE_SECONDS)
        if job is None:
            _log.debug("No job of %s is there to be claimed", queue)
            return
        with bound_contextvars(**facts_of(job)), self._traces.continuing(job.traceparent):
            now = time.time()
            self._traces.record("queue", now - _waited(job), now)
            self._traces.record("claim", asked_at, now)
            self._run(job)

    def _run(self, job: Job) -> None:
        held = self._keeper.hold(job.lease)
        _log.info("Attempt %d at %s begins", job.attempt, job.queue)
        with self._outcome.of(held):
            try:
                with self._traces.span("run", Kind.CONSUMER):
                    video = self._make(job, held)
            finally:
                self._registry.clean()
            self._recovery.succeeded()
            self._finisher.finish(held, video)

    def _make(self, job: Job, held: Hold) -> RawVideo:
        request = _request(job)
        held.report("loading", 0, request.sample_steps)
        pace = Pace()
        checkpoints = self._checkpointing.of(
            job.lease, request, leaving=lambda: self._drain.leaves_no(pace.seconds_left)
        )
        held.at_end(checkpoints.close)
        after_step = partial(_after_step, held, pace, checkpoints)
        try:
            with self._inputs.of(job.id, request) as inputs:
                run = Run(
                    on_step=after_step,
                    inputs=inputs,
                    checkpoints=checkpoints,
                    on_preview=self._previews_of(held) if request.preview else None,
                )
                video = self._generate(request, run, checkpoints)
        except DeviceFaultError:
            self.is_broken = True
            raise
        waited = (job.started_at or job.created_at) - job.created_at
        metrics = {"queue_seconds": waited, **video.metrics}
        return replace(video, metrics=metrics, about=_about(job))

    def _previews_of(self, held: Hold) -> OnPreview:
        previews = self._previews(held)
        held.at_end(previews.close)
        return previews.take

    def _generate(self, request: VideoRequest, run: Run, checkpoints: JobCheckpoints) -> RawVideo:
        """Run the pipeline, and again where doing it differently may help."""
        while True:
            try:
                return self._call(request, run)
            except DeviceFaultError:
                raise
            except DeviceMemoryError as error:
                if not self._registry.lower(request.task):
                    raise
                told = for_owner("The device's memory did not suffice; once more with less of it")
                _log.warning("Once more with less memory: %s", error, extra=told)
            except GenerationError as error:
                if not checkpoints.resumed:
                    raise
                told = for_owner("Going on from the checkpoint failed; once more from the first step")
                _log.warning("Once more from the first step: %s", error, extra=told)
                checkpoints.discard()
            # Only here: while an error is being handled, its traceback keeps the tensors of the run.
            self._registry.free()

    def _call(self, request: VideoRequest, run: Run) -> RawVideo:
        registry, start = self._registry, time.perf_counter()
        loads, evictions = registry.loads, registry.evictions
        with self._traces.span("load") as span:
            span.tell(wanserve__task=request.task)
            pipeline = registry.load(request.task)
        metrics = {
            "load_seconds": time.perf_counter() - start,
            "models_loaded": registry.loads - loads,
            "models_evicted": registry.evictions - evictions,
        }
        start = time.perf_counter()
        with self._traces.span("generate") as span:
            span.tell(wanserve__task=request.task, wanserve__steps=request.sample_steps)
            generated = pipeline.generate(request, run)
        frames, seconds = generated.frames.shape[0], time.perf_counter() - start
        _log.info("Made %d frames in %.1f s", frames, seconds, extra=for_owner())
        metrics |= generated.metrics
        return RawVideo(generated.frames, request.fps, metrics, generated.audio)


def _after_step(held: Hold, pace: Pace, checkpoints: JobCheckpoints, step: int, steps: int) -> None:
    pace.note(step, steps)
    held.report("denoising" if step < steps else "decoding", step, steps)
    if checkpoints.leaves():
        raise DrainedError("The worker is shutting down.")


def _request(job: Job) -> VideoRequest:
    try:
        return VideoRequest.model_validate(job.spec)
    except ValidationError as error:
        raise GenerationError("This version of the worker cannot read the job's request.") from error


def _waited(job: Job) -> float:
    """How long the attempt that just began was waited for, in seconds by the store's clock."""
    *before, attempt = job.attempts
    return attempt.started_at - ((before[-1].ended_at if before else None) or job.created_at)


def _about(job: Job) -> dict[str, str]:
    """What is kept with the video of what it came from."""
    told = {"job": job.id, "tenant": job.tenant, "request-id": job.request_id, "traceparent": job.traceparent}
    return {name: value for name, value in told.items() if value}
