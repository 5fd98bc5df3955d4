"""From a valid body and its files to a job in the store."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from itertools import chain, repeat
from pathlib import Path

from structlog.contextvars import bound_contextvars

from api.idempotency import Reservation
from api.inputs.gather import Input
from api.names import new_job_id
from api.parts import Parts
from api.terms import terms
from jobs.artifacts import ArtifactStore
from jobs.errors import ArtifactNotFoundError
from jobs.inputs import input_key
from jobs.state import DEFAULT_TENANT, Job, NewJob
from jobs.webhooks import Hook
from wan_models.bodies import VideoBody
from wan_models.catalog import CATALOG, ModelSpec
from wan_models.errors import ModelNotInstalledError, PipelineUnavailableError, UnknownModelError
from wan_models.fit import fit
from wan_models.models_dir import InstalledModel
from wan_models.offer import check_offered
from wan_models.request import VideoRequest, resolve

_log = logging.getLogger(__name__)


def submit(
    body: VideoBody,
    parts: Parts,
    reservation: Reservation | None = None,
    *,
    files: Mapping[str, Path] | None = None,
    as_it_came: VideoBody | None = None,
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
        as_it_came: the body before it was completed, which tells one request from another.
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
    with prepared([body], parts, files=files, tenant=tenant) as (plan,):
        request = plan.request
        told = {"warnings": (*request.warnings, *warnings), "remixed_from": remixed_from}
        given = {**plan.inputs, **({"video": video} if video else {})}
        request = request.model_copy(update=told)
        whole = replace(plan, body=as_it_came or body, request=request, inputs=given)
        return submit_plans({new_job_id(): whole}, parts, reservation)[0]


@dataclass(frozen=True, slots=True)
class Plan:
    """A job that can be written: its request with nothing left open, and its inputs on this machine."""

    body: VideoBody
    request: VideoRequest
    inputs: Mapping[str, Input]
    hook: Hook | None
    tiny: bool


@contextmanager
def prepared(
    bodies: Sequence[VideoBody],
    parts: Parts,
    *,
    files: Mapping[str, Path] | None = None,
    tenant: str = DEFAULT_TENANT,
) -> Iterator[list[Plan]]:
    """Check requests that share a model and their inputs, and fetch these once; see ``submit``."""
    spec = _spec(bodies[0].task)
    model = _installed(spec, parts)
    # Refuses what it can before anything is fetched for it.
    asked = [resolve(body, spec, tiny=model.tiny, loras=parts.loras) for body in bodies]
    for body in bodies:
        check_offered(body, engine=model.engine, clones_voices=parts.clones_voices)
    hook = parts.webhooks.hook_of(bodies[0])
    with parts.intake.gatherer.gathered(bodies[0], files or {}, tenant) as inputs:
        media = {name: given.media for name, given in inputs.items()}
        requests = [fit(request, spec, media) for request in asked]
        yield [
            Plan(body, request, inputs, hook, model.tiny)
            for body, request in zip(bodies, requests, strict=True)
        ]


def submit_plans(
    plans: Mapping[str, Plan], parts: Parts, reservation: Reservation | None = None
) -> list[Job]:
    """Write prepared jobs of one model down, all or none; see ``submit``.

    Args:
        plans: by the ids of the jobs, in the order in which they are taken.
        parts: the gateway's, as the client sees it.
        reservation: the request's idempotency key, which the first job gets.

    Returns:
        The jobs, or the one alone that answers for the first.
    """
    first = next(iter(plans))
    with bound_contextvars(job=first), parts.traces.span("submit"), ExitStack() as stored:
        news = [
            stored.enter_context(_stored(_new_job(job_id, plan, parts, key), plan.inputs, parts.artifacts))
            for (job_id, plan), key in zip(plans.items(), chain([reservation], repeat(None)), strict=False)
        ]
        jobs = write(news, parts)
    if jobs[0].id != first:
        for new in news:
            _forget(new, parts.artifacts)
        return jobs
    for job in jobs:
        with bound_contextvars(job=job.id):
            _log.info("Queued for %s", job.queue, extra={"prompt": job.spec["prompt"]})
    return jobs


def write(news: Sequence[NewJob], parts: Parts) -> list[Job]:
    """The new jobs, or the one that answers for the first. One that is reused must still have its video.

    That is looked at first: the submit binds the idempotency key to whichever job it answers with.
    """
    first = news[0]
    if first.reuse:
        finished = parts.store.finished(first.tenant, first.digest)
        first = replace(first, reuse=finished is not None and _has_video(finished, parts.artifacts))
    return parts.store.submit_all([first, *news[1:]])


def _new_job(job_id: str, plan: Plan, parts: Parts, reservation: Reservation | None) -> NewJob:
    spec = CATALOG[plan.request.task]
    return NewJob(
        id=job_id,
        queue=spec.id,
        spec=plan.request.model_dump(mode="json", exclude_defaults=True),
        hook=plan.hook,
        **terms(
            plan.body,
            plan.request,
            parts.deadlines.of(spec),
            tiny=plan.tiny,
            contents={name: given.digest for name, given in plan.inputs.items()},
            reservation=reservation,
        ),
    )


def _has_video(job: Job, artifacts: ArtifactStore) -> bool:
    try:
        artifacts.stat((job.result or {})["artifact"])
    except ArtifactNotFoundError:
        return False
    return True


@contextmanager
def _stored(new: NewJob, inputs: Mapping[str, Input], artifacts: ArtifactStore) -> Iterator[NewJob]:
    """The job with its inputs where the worker finds them; they go again if it is not written."""
    keys = {name: input_key(new.id, name, given.media.suffix) for name, given in inputs.items()}
    complete = replace(new, spec={**new.spec, "inputs": keys}) if keys else new
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
