"""From a valid body and its files to a job in the store."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from api.idempotency import Reservation
from api.inputs.gather import Input
from api.names import new_job_id
from api.parts import Parts
from api.terms import terms
from jobs.artifacts import ArtifactStore
from jobs.errors import ArtifactNotFoundError
from jobs.inputs import input_key
from jobs.state import DEFAULT_TENANT, Job, NewJob
from wan_models.bodies import VideoBody
from wan_models.catalog import CATALOG, ModelSpec
from wan_models.errors import ModelNotInstalledError, PipelineUnavailableError, UnknownModelError
from wan_models.fit import fit
from wan_models.models_dir import InstalledModel
from wan_models.request import resolve

_log = logging.getLogger(__name__)


def submit(
    body: VideoBody,
    parts: Parts,
    reservation: Reservation | None = None,
    *,
    files: Mapping[str, Path] | None = None,
    tenant: str = DEFAULT_TENANT,
    warnings: tuple[str, ...] = (),
    remixed_from: str | None = None,
    video: Input | None = None,
) -> Job:
    """Write the job down, then tell the workers; or find the job that answers the request already.

    Args:
        body: what the client asked for.
        parts: the gateway's, as the client sees it.
        reservation: the request's idempotency key.
        files: what came with the request, by the field of the body; these are used up.
        tenant: whose uploads may be used.
        warnings: what was taken otherwise than the client wrote it, before it came to ``body``.
        remixed_from: the job whose video this one is made of.
        video: a finished video of ours that the new one begins with.

    Raises:
        UnknownModelError: the catalog has no such task.
        PipelineUnavailableError: this version cannot run it.
        ModelNotInstalledError: its weights are not here.
        InvalidRequestError: the model cannot make what is asked for, or an input is of no use.
        TooManyJobsError: the tenant has as many jobs queued as it may.
        KeyUsedError: the idempotency key came with another request.
        StoreUnavailableError: nothing was written.
        ArtifactStoreUnavailableError: nothing was written.
    """
    spec = _spec(body.task)
    tiny = _installed(spec, parts).tiny
    asked = resolve(
        body, spec, tiny=tiny, loras=parts.loras
    )  # refuses what it can before anything is fetched for it
    hook = parts.webhooks.hook_of(body)
    with parts.intake.gatherer.gathered(body, files or {}, tenant) as inputs:
        request = fit(asked, spec, {name: given.media for name, given in inputs.items()})
        told = {"warnings": (*request.warnings, *warnings), "remixed_from": remixed_from}
        request = request.model_copy(update=told)
        given = {**inputs, **({"video": video} if video else {})}
        contents = {name: one.digest for name, one in given.items()}
        new = NewJob(
            id=new_job_id(),
            queue=spec.id,
            spec=request.model_dump(mode="json", exclude_defaults=True),
            hook=hook,
            **terms(body, request, spec, tiny=tiny, contents=contents, reservation=reservation),
        )
        with _stored(new, given, parts.artifacts) as complete:
            job = write(complete, parts)
    if job.id == new.id:
        parts.nudge(job)
        _log.info("Job %s of tenant %s is queued", job.id, job.tenant)
    else:
        _forget(complete, parts.artifacts)
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


@contextmanager
def _stored(new: NewJob, inputs: Mapping[str, Input], artifacts: ArtifactStore) -> Iterator[NewJob]:
    """The job with its inputs where the worker finds them; they go again if it is not written."""
    keys = {name: input_key(new.id, name, given.media.suffix) for name, given in inputs.items()}
    complete = replace(new, spec={**new.spec, "inputs": keys} if keys else new.spec)
    try:
        for name, given in inputs.items():
            artifacts.put(keys[name], given.path)
        yield complete
    except BaseException:
        _forget(complete, artifacts)
        raise


def _forget(new: NewJob, artifacts: ArtifactStore) -> None:
    for key in new.spec.get("inputs", {}).values():
        artifacts.delete(key)


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
