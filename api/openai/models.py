"""``GET /v1/models``: the models that are installed, in OpenAI's words."""

from __future__ import annotations

from typing import Literal

from api.parts import Parts
from api.schemas import View
from wan_models.catalog import CATALOG

_RELEASED = 1753660800  # Wan 2.2 was published on 28 July 2025


class Model(View):
    """A model."""

    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str


class ModelPage(View):
    """The models."""

    object: Literal["list"] = "list"
    data: list[Model]


def model_page(parts: Parts) -> ModelPage:
    """The models that requests can name here."""
    installed = parts.models.get()
    return ModelPage(
        data=[
            Model(id=spec.id, created=_RELEASED, owned_by="Wan-AI")
            for spec in CATALOG.values()
            if spec.id in installed
        ]
    )
