"""Which models there are."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from api.answer import answer
from api.model_list import list_models
from api.openapi import PROBLEMS
from api.parts import parts_of
from api.query import StrictRoute
from api.schemas import ModelList

router = APIRouter(prefix="/models", tags=["service"], responses=PROBLEMS, route_class=StrictRoute)


@router.get("", response_model=ModelList)
def get_models(request: Request) -> Response:
    """Every task: whether it is installed, what it takes, its defaults, and how busy it is."""
    return answer(list_models(parts_of(request)))
