"""What FastAPI cannot tell by itself about our answers and bodies."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from api.batches import Batch
from api.description import enrich, without_null
from api.errors import MEDIA_TYPE
from api.event_view import EventView
from api.form import MEDIA_TYPE as MULTIPART
from api.form import URL_ENCODED
from api.openai.fields import CreateVideo, Extension, Remix
from api.schemas import PresignRequest, Problem
from api.webhooks import NewWebhook
from routing.query import RouteQuery
from wan_models.bodies import (
    Animation,
    ImageToVideo,
    SpeechToVideo,
    TextImageToVideo,
    TextToVideo,
    VideoBody,
)

_REFERENCE = "#/components/schemas/{model}"

PROBLEMS: dict[int | str, dict[str, Any]] = {
    "default": {
        "description": "Any error: RFC 9457 problem details.",
        "content": {MEDIA_TYPE: {"schema": {"$ref": _REFERENCE.format(model="Problem")}}},
    }
}


BINARY: dict[str, Any] = {"schema": {"type": "string", "format": "binary"}}
"""The bytes of a file."""

DOWNLOAD: dict[int | str, dict[str, Any]] = {
    200: {"description": "The whole video.", "content": {"video/mp4": BINARY}},
    206: {"description": "The range asked for.", "content": {"video/mp4": BINARY}},
    304: {"description": "The client has it already."},
}
"""What a request for a video is answered with."""

RANGE: dict[str, Any] = {
    "parameters": [
        {
            "name": "Range",
            "in": "header",
            "schema": {"type": "string"},
            "example": "bytes=0-1023",
            "description": "Which bytes; all of them where it is left out.",
        }
    ]
}
"""The header as OpenAPI describes it."""

BODIES = (TextToVideo, ImageToVideo, TextImageToVideo, SpeechToVideo, Animation)


def body_of(kind: type[VideoBody]) -> dict[str, Any]:
    """How the body of a ``/generate`` endpoint is described: as JSON, and as forms with files and without."""
    json = {"schema": {"$ref": _REFERENCE.format(model=kind.__name__)}}
    form = {"schema": {"$ref": _REFERENCE.format(model=_form_name(kind))}}
    return {"required": True, "content": {"application/json": json, MULTIPART: form, URL_ENCODED: form}}


def complete(description: dict[str, Any]) -> dict[str, Any]:
    """Add the models that are referred to by name: the problem, and the bodies that we read ourselves."""
    schemas = description.setdefault("components", {}).setdefault("schemas", {})
    ours = (Batch, Problem, EventView, NewWebhook, PresignRequest, RouteQuery, CreateVideo, Extension, Remix)
    for model in (*ours, *BODIES):
        schemas.update(_schemas(model))
    for kind in BODIES:
        schemas[_form_name(kind)] = _form_schema(kind)
    return enrich(description)


def _schemas(model: type[BaseModel]) -> dict[str, Any]:
    """A model's schema and those it refers to, by name."""
    schema = model.model_json_schema(ref_template=_REFERENCE)
    return {**schema.pop("$defs", {}), model.__name__: schema}


def _form_name(kind: type[VideoBody]) -> str:
    return f"{kind.__name__}Form"


def _form_schema(kind: type[VideoBody]) -> dict[str, Any]:
    """The same fields, where an input may be the file itself."""
    schema = _schemas(kind)[kind.__name__]
    file = {"type": "string", "format": "binary"}
    for field in kind.sources:
        described = schema["properties"][field]
        schema["properties"][field] = {**file, "description": described.get("description", "")}
    properties = {name: without_null(field) for name, field in schema["properties"].items()}
    return {**schema, "title": _form_name(kind), "properties": properties}
