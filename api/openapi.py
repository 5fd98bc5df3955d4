"""What FastAPI cannot tell by itself about our answers and bodies."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from api.errors import MEDIA_TYPE
from api.event_view import EventView
from api.schemas import Problem
from wan_models.bodies import TextToVideo

_REFERENCE = "#/components/schemas/{model}"

PROBLEMS: dict[int | str, dict[str, Any]] = {
    "default": {
        "description": "Any error: RFC 9457 problem details.",
        "content": {MEDIA_TYPE: {"schema": {"$ref": _REFERENCE.format(model="Problem")}}},
    }
}


def complete(description: dict[str, Any]) -> dict[str, Any]:
    """Add the models that are referred to by name: the problem, and the bodies that we read ourselves."""
    schemas = description.setdefault("components", {}).setdefault("schemas", {})
    for model in (Problem, EventView, TextToVideo):
        schemas.update(_schemas(model))
    return description


def _schemas(model: type[BaseModel]) -> dict[str, Any]:
    """A model's schema and those it refers to, by name."""
    schema = model.model_json_schema(ref_template=_REFERENCE)
    return {**schema.pop("$defs", {}), model.__name__: schema}
