"""Which models there are."""

from __future__ import annotations

from fastapi import APIRouter, Response

from api.answer import answer
from api.model_list import list_models
from api.parts import UseParts
from api.schemas import ModelList

router = APIRouter(prefix="/models", tags=["service"])


@router.get("", response_model=ModelList)
def get_models(parts: UseParts) -> Response:
    """Every task: whether it is installed, what it takes, its defaults, and how busy it is."""
    return answer(list_models(parts))
