"""``/v1/models``: the models that are installed, in OpenAI's words."""

from __future__ import annotations

from typing import Literal

from api.parts import Parts
from api.refusals import ModelNotFoundError
from api.schemas import View
from wan_models.catalog import CATALOG, ModelSpec

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
    return ModelPage(data=[_model(task) for task in CATALOG if task in installed])


def model_of(name: str, parts: Parts) -> Model:
    """One of them, by any of its names.

    Raises:
        ModelNotFoundError: it is not installed, or there is none of this name.
    """
    spec = spec_of(name)
    if spec is None or spec.id not in parts.models.get():
        raise ModelNotFoundError(name[:64])
    return _model(spec.id)


def spec_of(name: str) -> ModelSpec | None:
    """The model that a client names: by its id, or by its repository, of Diffusers or of its authors."""
    wanted = name.lower()
    return next((spec for spec in CATALOG.values() if wanted in _names(spec)), None)


def _names(spec: ModelSpec) -> set[str]:
    return {spec.id.lower(), spec.repository.lower(), spec.original_repository.lower()}


def _model(task: str) -> Model:
    return Model(id=task, created=_RELEASED, owned_by="Wan-AI")
