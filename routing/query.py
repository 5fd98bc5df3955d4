"""What a client sends to ``POST /api/v1/route``."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from wan_models.fields import CONTROL, MAX_SEED, Flag, Fps, Source, Text

MAX_QUERY_CHARACTERS = 8000
MAX_ATTACHMENTS = 16


def _require_visible(query: str) -> str:
    if not any(char.isprintable() and not char.isspace() for char in query):
        raise ValueError("must not be empty")
    return CONTROL.sub(" ", query).strip()


def _listed(value: object) -> object:
    return [value] if isinstance(value, str) else value


Modality = Literal["text", "image", "audio", "video", "pose"]
Query = Annotated[
    str,
    Field(strict=True, max_length=MAX_QUERY_CHARACTERS, examples=["Generate a video of a cat in the garden"]),
    AfterValidator(_require_visible),
]
Modalities = Annotated[
    list[Modality],
    Field(min_length=1, max_length=8),
    BeforeValidator(_listed, json_schema_input_type=Modality | list[Modality]),
]


class Attachment(BaseModel):
    """A file of the query. Without an address it counts for the choice, and is asked for later."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Modality
    url: Annotated[Source | None, Field(description="https, data or asset URL.")] = None
    asset_id: Annotated[Text | None, Field(description="Id of an upload.")] = None

    @property
    def source(self) -> str | None:
        """The file as the ``/generate`` endpoints take it, or None where it has no address."""
        if self.asset_id is not None:
            return self.asset_id if self.asset_id.startswith("asset://") else f"asset://{self.asset_id}"
        return self.url


class Context(BaseModel):
    """What the application knows beside the query. Fields that mean nothing here are passed over."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    prefer_quality: Annotated[Flag, Field(description="The better model, however long it takes.")] = False
    prefer_speed: Annotated[Flag, Field(description="The faster model.")] = False
    max_duration: Annotated[
        float | None, Field(strict=True, gt=0, le=3600, description="Longest video, in seconds.")
    ] = None
    max_wait: Annotated[
        float | None,
        Field(strict=True, gt=0, description="Seconds from which on a queue counts as too long."),
    ] = None
    language: Annotated[
        str | None, Field(strict=True, max_length=35, description="Of the query, as in `en`.")
    ] = None
    seed: Annotated[int | None, Field(strict=True, ge=-1, le=MAX_SEED)] = None
    fps: Fps | None = None


class RouteQuery(BaseModel):
    """The body of ``POST /api/v1/route``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    query: Annotated[Query, Field(description="What somebody typed.")]
    modality: Annotated[Modalities, Field(description="What it comes as: one or a list.")] = ["text"]
    attachments: Annotated[
        list[Attachment],
        Field(max_length=MAX_ATTACHMENTS, description="Files: `kind`, and `url` or `asset_id`."),
    ] = []
    context: Annotated[Context, Field(description="Preferences and limits.")] = Context()
    execute: Annotated[Flag, Field(description="Do it as well: start the job, or forward the request.")] = (
        False
    )
    stream: Annotated[Flag, Field(description="With `execute`: pass a text on while it is written.")] = False
    enhance_prompt: Annotated[Flag, Field(description="Have the language model elaborate the prompt.")] = (
        False
    )

    @property
    def kinds(self) -> list[str]:
        """The kind of each attachment, texts left out."""
        return [attachment.kind for attachment in self.attachments if attachment.kind != "text"]

    def first(self, kind: str) -> Attachment | None:
        """The first attachment of a kind."""
        return next((attachment for attachment in self.attachments if attachment.kind == kind), None)
