"""From a valid body to a job in the store."""

from __future__ import annotations

import logging

from api.names import new_job_id
from api.parts import Parts
from jobs.state import Job, NewJob
from wan_models.bodies import TextToVideo
from wan_models.catalog import CATALOG, ModelSpec
from wan_models.errors import ModelNotInstalledError, PipelineUnavailableError, UnknownModelError
from wan_models.models_dir import InstalledModel
from wan_models.request import resolve

_log = logging.getLogger(__name__)


def submit(body: TextToVideo, parts: Parts) -> Job:
    """Write the job down, then tell the workers.

    Raises:
        UnknownModelError: the catalog has no such task.
        PipelineUnavailableError: this version cannot run it.
        ModelNotInstalledError: its weights are not here.
        InvalidRequestError: the model cannot make what is asked for.
        StoreUnavailableError: nothing was written.
    """
    spec = _spec(body.task)
    request = resolve(body, spec, tiny=_installed(spec, parts).tiny)
    job = parts.store.submit(
        NewJob(
            id=new_job_id(),
            queue=spec.id,
            spec=request.model_dump(mode="json"),
            steps=request.sample_steps,
        )
    )
    parts.nudge(job)
    _log.info("Job %s of tenant %s is queued", job.id, job.tenant)
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
