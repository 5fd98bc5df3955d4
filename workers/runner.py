"""One job, from claim to the end of its GPU stage. Plain Python: Celery only says which queue."""

from __future__ import annotations

import logging
import time
from functools import partial

from jobs.artifacts import ArtifactStore
from jobs.inputs import local_inputs
from jobs.logs import noted
from jobs.state import Job
from jobs.store import JobStore
from wan_models.pipeline import Run
from wan_models.registry import Registry
from wan_models.request import VideoRequest
from workers.drain import Drain
from workers.finisher import Finisher, RawVideo
from workers.lease import Hold, LeaseKeeper
from workers.outcome import Outcome

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
        artifacts: ArtifactStore,
    ) -> None:
        self._worker = worker
        self._store = store
        self._registry = registry
        self._keeper = keeper
        self._outcome = outcome
        self._finisher = finisher
        self._drain = drain
        self._artifacts = artifacts

    def run(self, queue: str) -> None:
        """Run the next job of a queue if there is one; a message that comes late or twice changes nothing.

        Raises:
            StoreUnavailableError: the claim could not be made; the relay will send another message.
        """
        job = self._store.claim(queue, self._worker)
        if job is None:
            _log.debug("No job of %s is there to be claimed", queue)
            return
        held = self._keeper.hold(job.lease)
        with noted(**_facts(job)), self._outcome.of(held):
            video = self._generate(job, held)
            self._finisher.finish(held, video)

    def _generate(self, job: Job, held: Hold) -> RawVideo:
        request = VideoRequest.model_validate(job.spec)
        held.report("loading", 0, request.sample_steps)
        start = time.perf_counter()
        pipeline = self._registry.load(request.task)
        load_seconds = time.perf_counter() - start
        with local_inputs(self._artifacts, request.inputs) as inputs:
            run = Run(on_step=partial(self._after_step, held), inputs=inputs)
            generated = pipeline.generate(request, run)
        waited = (job.started_at or job.created_at) - job.created_at
        metrics = {"queue_seconds": waited, "load_seconds": load_seconds, **generated.metrics}
        return RawVideo(generated.frames, request.fps, metrics, generated.audio)

    def _after_step(self, held: Hold, step: int, steps: int) -> None:
        held.report("denoising", step, steps)
        self._drain.check()


def _facts(job: Job) -> dict[str, str]:
    """What every log line about an attempt says of it."""
    return {
        "job": job.id,
        "attempt": str(job.attempt),
        "tenant": job.tenant,
        "request": job.request_id,
        "trace": job.traceparent,
    }
