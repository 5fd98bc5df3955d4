"""From a valid body to a job in the store."""

from __future__ import annotations

import logging
from dataclasses import replace

from api.idempotency import Reservation
from api.names import new_job_id
from api.parts import Parts
from api.terms import terms
from jobs.errors import ArtifactNotFoundError
from jobs.state import Job, NewJob
from wan_models.bodies import TextToVideo
from wan_models.catalog import CATALOG, ModelSpec
from wan_models.errors import ModelNotInstalledError, PipelineUnavailableError, UnknownModelError
from wan_models.models_dir import InstalledModel
from wan_models.request import resolve

_log = logging.getLogger(__name__)


def submit(body: TextToVideo, parts: Parts, reservation: Reservation | None = None) -> Job:
    """Write the job down, then tell the workers; or find the job that answers the request already.

    Raises:
        UnknownModelError: the catalog has no such task.
        PipelineUnavailableError: this version cannot run it.
        ModelNotInstalledError: its weights are not here.
        InvalidRequestError: the model cannot make what is asked for.
        TooManyJobsError: the tenant has as many jobs queued as it may.
        KeyUsedError: the idempotency key came with another request.
        StoreUnavailableError: nothing was written.
    """
    spec = _spec(body.task)
    tiny = _installed(spec, parts).tiny
    request = resolve(body, spec, tiny=tiny)
    new = NewJob(
        id=new_job_id(),
        queue=spec.id,
        spec=request.model_dump(mode="json"),
        **terms(body, request, spec, tiny=tiny, reservation=reservation),
    )
    job = write(new, parts)
    if job.id == new.id:
        parts.nudge(job)
        _log.info("Job %s of tenant %s is queued", job.id, job.tenant)
    return job


def write(new: NewJob, parts: Parts) -> Job:
    """The new job, or the one that answers for it. One that is reused must still have its video."""
    job = parts.store.submit(new)
    if not new.reuse or job.id == new.id or job.result is None:
        return job
    try:
        parts.artifacts.stat(job.result["artifact"])
    except ArtifactNotFoundError:
        return parts.store.submit(replace(new, reuse=False, idempotency=None))
    return job


def _spec(task: str) -> ModelSpec:
    if task not in CATALOG:
        raise UnknownModelError(task)
    return CATALOG[task]


def _installed(spec: ModelSpec, parts: Parts) -> InstalledModel:
    if spec.pipeline is None:
        raise PipelineUnavailableError(spec.id)
    model = parts.models.get().get(spec.id)
    if model is None:
        raise ModelNotInstalledError(spec.id)
    return model
