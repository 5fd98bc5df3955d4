"""What is added to a body before it is submitted: the model that ``auto`` stands for, and a richer prompt."""

from __future__ import annotations

from contextlib import suppress
from typing import Any, TypeVar

from fastapi.concurrency import run_in_threadpool

from api.model_loads import model_loads
from api.parts import Parts
from routing.selection import Wish, candidates, choose
from wan_models.bodies import VideoBody
from wan_models.catalog import Size

B = TypeVar("B", bound=VideoBody)

AUTO = "auto"


async def completed(body: B, parts: Parts) -> B:
    """The body with nothing left for routing to say. Without a model or an answer it stays as it is."""
    changes: dict[str, Any] = {}
    if body.task == AUTO:
        changes["task"] = await run_in_threadpool(_best_task, body, parts)
    if body.enhance_prompt and body.original_prompt is None:
        prompt = await parts.desk.assistant.elaborate(body.prompt)
        changes |= {"prompt": prompt, "original_prompt": body.prompt} if prompt else {}
    return body.model_copy(update=changes) if changes else body


def _best_task(body: VideoBody, parts: Parts) -> str:
    """The model to make it with; where none is installed, the one whose absence is to be told."""
    size = None
    with suppress(ValueError):  # it is refused by name later
        size = Size.parse(body.size) if body.size else None
    wish = Wish(kind=body.kind, frames=body.frame_num, size=size)
    choice = choose(wish, model_loads(parts))
    return choice.model.id if choice else candidates(wish)[0].id
