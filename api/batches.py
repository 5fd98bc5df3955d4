"""Many videos by one request: one job for each pair of a prompt and a seed, told of and stopped together.

A batch has no record of its own. Its id says how many jobs it has and which ids they have, and each of them
says which batch it is of, so it is as durable as they are, and no id can be made up.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from types import MappingProxyType
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from ulid import ULID

from api.idempotency import Reservation
from api.parts import Parts
from api.refusals import BatchNotFoundError
from api.submission import Plan, prepared, submit_plans
from jobs.errors import InvalidTransitionError, JobNotFoundError
from jobs.state import IdempotencyKey, Job
from wan_models.bodies import (
    Animation,
    ImageToVideo,
    SpeechToVideo,
    TextImageToVideo,
    TextToVideo,
    VideoBody,
)
from wan_models.errors import InvalidRequestError
from wan_models.fields import MAX_SEED, Prompt
from wan_models.request import random_seed

MOST_JOBS = 100
_ID = re.compile(r"batch_([0-9a-hjkmnp-tv-z]{26})_([1-9][0-9]{0,2})")
_LAST_ULID = f"7{'z' * 23}00"  # with room for the jobs behind it
_BODIES: Mapping[str, type[VideoBody]] = MappingProxyType(
    {str(body.kind): body for body in (TextToVideo, ImageToVideo, TextImageToVideo, SpeechToVideo, Animation)}
)
_Seed = Annotated[int, Field(strict=True, ge=0, le=MAX_SEED)]


class Batch(BaseModel):
    """The body of ``POST /batches``: a request, and the prompts and seeds to make it with."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Annotated[
        Literal["text-to-video", "image-to-video", "text-image-to-video", "speech-to-video", "animation"],
        Field(description="The `/generate` endpoint that the request is for."),
    ] = "text-to-video"
    request: Annotated[dict[str, Any], Field(description="What all have in common: a body of that endpoint.")]
    prompts: Annotated[
        tuple[Prompt, ...] | None,
        Field(min_length=1, max_length=MOST_JOBS, description="In place of the request's own prompt."),
    ] = None
    seeds: Annotated[
        tuple[_Seed, ...] | None,
        Field(min_length=1, max_length=MOST_JOBS, description="In place of the request's own seed."),
    ] = None
    num_videos: Annotated[
        int | None,
        Field(
            strict=True,
            ge=1,
            le=MOST_JOBS,
            description="Videos of each prompt, in place of seeds: these count up from the request's own, "
            "or are drawn.",
        ),
    ] = None


@dataclass(frozen=True, slots=True)
class BatchId:
    """The name of a batch: that of its first job, and how many there are."""

    first: ULID
    count: int

    def __str__(self) -> str:
        return f"batch_{self.first}_{self.count}".lower()

    @classmethod
    def parse(cls, text: str) -> BatchId:
        """Read an id.

        Raises:
            BatchNotFoundError: it cannot be that of any batch.
        """
        match = _ID.fullmatch(text)
        # A ULID has 128 bits, which the first of its 26 letters does not fill.
        if match is None or int(match[2]) > MOST_JOBS or match[1] > _LAST_ULID:
            raise BatchNotFoundError(text[:64])
        return cls(ULID.from_str(match[1].upper()), int(match[2]))

    def job_ids(self) -> list[str]:
        """The ids of its jobs, which sort as they were asked for."""
        return [f"job_{ULID.from_int(int(self.first) + place)}".lower() for place in range(self.count)]


@dataclass(frozen=True, slots=True)
class _BatchReservation(Reservation):
    """The key of a batch. Its first job carries it, so that it stands for all of the batch."""

    batch: Mapping[str, Any]

    def used_for(self, *_: Any) -> IdempotencyKey:
        return Reservation(self.key, self.token).used_for("batch", self.batch)


def bodies_of(batch: Batch) -> list[VideoBody]:
    """One body a job, all valid, prompt by prompt.

    Raises:
        ValidationError: the request is no body of its endpoint.
        InvalidRequestError: it would be too many videos, or fields contradict each other.
    """
    kind = _BODIES[batch.kind]
    prompts: Sequence[str | None] = batch.prompts or [None]
    first = kind.model_validate(_with(batch.request, prompts[0], None))
    if first.reuse:
        raise InvalidRequestError("reuse", "A batch makes new videos.")
    if batch.seeds and batch.num_videos:
        raise InvalidRequestError("num_videos", "Send seeds, or how many to take.")
    videos = len(prompts) * (len(batch.seeds or ()) or batch.num_videos or 1)
    if videos > MOST_JOBS:
        raise InvalidRequestError("prompts", f"A batch has up to {MOST_JOBS} videos, not {videos}.")
    return [
        kind.model_validate(_with(batch.request, prompt, seed))
        for prompt, seed in product(prompts, batch.seeds or _seeds(first, batch.num_videos or 1))
    ]


def submit_batch(
    batch: Batch, parts: Parts, reservation: Reservation | None, *, tenant: str
) -> tuple[BatchId, list[Job]]:
    """Write all jobs down, or none.

    A repeated key answers with the batch that it was first used for.

    Raises:
        ValidationError, InvalidRequestError: see ``bodies_of``.
        Exception: what ``submit`` raises.
    """
    bodies = bodies_of(batch)
    key = reservation and _BatchReservation(reservation.key, reservation.token, batch.model_dump(mode="json"))
    fresh = BatchId(ULID(), len(bodies))
    with prepared(bodies, parts, tenant=tenant) as plans:
        named = zip(fresh.job_ids(), plans, strict=True)
        jobs = submit_plans({job_id: _of_batch(plan, fresh) for job_id, plan in named}, parts, key)
    batch_id = BatchId.parse(jobs[0].spec["batch"])
    return batch_id, jobs if batch_id == fresh else jobs_of(batch_id, parts)


def jobs_of(batch_id: BatchId, parts: Parts) -> list[Job]:
    """The jobs of a batch that there still are, in the order in which they were asked for.

    Raises:
        BatchNotFoundError: there are none, or they are others'.
    """
    found = (_find(job_id, parts) for job_id in batch_id.job_ids())
    jobs = [job for job in found if job and job.spec.get("batch") == str(batch_id)]
    if not jobs:
        raise BatchNotFoundError(str(batch_id))
    return jobs


def cancel_batch(batch_id: BatchId, parts: Parts) -> list[Job]:
    """Cancel every job of a batch that has not ended.

    Raises:
        BatchNotFoundError: there are none, or they are others'.
    """
    return [_cancel(job, parts) for job in jobs_of(batch_id, parts)]


def _of_batch(plan: Plan, batch_id: BatchId) -> Plan:
    return replace(plan, request=plan.request.model_copy(update={"batch": str(batch_id)}))


def _find(job_id: str, parts: Parts) -> Job | None:
    try:
        return parts.store.get(job_id)
    except JobNotFoundError:
        return None


def _cancel(job: Job, parts: Parts) -> Job:
    try:
        return job if job.state.is_final else parts.store.cancel(job.id)
    except InvalidTransitionError:
        return parts.store.get(job.id)  # it ended in between


def _with(request: Mapping[str, Any], prompt: str | None, seed: int | None) -> dict[str, Any]:
    changes = {"prompt": prompt, "base_seed": seed}
    return {**request, **{name: value for name, value in changes.items() if value is not None}}


def _seeds(body: VideoBody, count: int) -> Sequence[int]:
    if body.base_seed is None or body.base_seed < 0:
        return [random_seed() for _ in range(count)]
    return [(body.base_seed + place) % (MAX_SEED + 1) for place in range(count)]
