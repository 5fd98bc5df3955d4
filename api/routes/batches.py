"""Many videos by one request."""

from __future__ import annotations

from anyio import to_thread
from fastapi import APIRouter, Request, Response

from api.answer import answer
from api.batch_view import batch_view
from api.batches import Batch, BatchId, cancel_batch, jobs_of, submit_batch
from api.body import read_json
from api.idempotency import PARAMETER
from api.links import Links
from api.openapi import PROBLEMS
from api.parts import parts_of
from api.principal import principal_of
from api.query import StrictRoute
from api.schemas import BatchView

router = APIRouter(prefix="/batches", tags=["batches"], responses=PROBLEMS, route_class=StrictRoute)

_BODY = {
    "required": True,
    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Batch"}}},
}


@router.post(
    "",
    status_code=202,
    response_model=BatchView,
    openapi_extra={"requestBody": _BODY, "parameters": [PARAMETER]},
)
async def create_batch(request: Request) -> Response:
    """Queue a job for each pair of a prompt and a seed: all of them, or none."""
    parts, tenant = parts_of(request), principal_of(request).tenant
    async with parts.reservations.of(request, parts.store) as reservation:
        batch = Batch.model_validate(await read_json(request, parts.intake.patience))

        def work() -> Response:
            batch_id, jobs = submit_batch(batch, parts, reservation, tenant=tenant)
            view = batch_view(batch_id, jobs, parts.load, Links(request))
            return answer(view, status=202, headers={"location": f"/batches/{batch_id}"})

        return await to_thread.run_sync(work, limiter=parts.intake.threads[tenant])


@router.get("/{batch_id}", response_model=BatchView)
def get_batch(batch_id: str, request: Request) -> Response:
    """A batch and its jobs as they are now."""
    parts, which = parts_of(request), BatchId.parse(batch_id)
    return answer(batch_view(which, jobs_of(which, parts), parts.load, Links(request)))


@router.post("/{batch_id}/cancel", response_model=BatchView)
def cancel_whole_batch(batch_id: str, request: Request) -> Response:
    """Cancel every job of a batch that has not ended."""
    parts, which = parts_of(request), BatchId.parse(batch_id)
    return answer(batch_view(which, cancel_batch(which, parts), parts.load, Links(request)))
