"""The types of a request's fields: what each may hold, whatever the task. No torch here."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field

CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
"""Control characters, but tabs and line ends."""

MAX_PROMPT_CHARACTERS = 2000
"""About what the text encoder reads: Wan cuts a prompt after 512 tokens."""

MAX_SEED = 2**53 - 1
"""The largest whole number that every JSON reader keeps exactly."""

RANDOM_SEED = -1
"""What a client sends, as with Wan's own command line, to have a seed drawn."""

MAX_SOURCE_CHARACTERS = 1024 * 1024
"""An input may be written into the request itself as a ``data:`` URL; the body's own limit is as large."""


def _clean_text(text: str) -> str:
    text = text.strip()
    if CONTROL.search(text):
        raise ValueError("must not contain control characters")
    return text


def _require_visible(text: str) -> str:
    if not any(char.isprintable() and not char.isspace() for char in text):
        raise ValueError("must not be empty")
    return text


def _both(value: object) -> object:
    if isinstance(value, int | float):
        return (value, value)
    if isinstance(value, list | tuple) and len(value) == 2:  # noqa: PLR2004 - a pair
        return value
    raise ValueError("must be one number, or a pair: low-noise expert, high-noise expert")


def _words(value: object) -> object:
    return [word.strip() for word in value.split(",")] if isinstance(value, str) else value


Text = Annotated[str, Field(strict=True, max_length=MAX_PROMPT_CHARACTERS), AfterValidator(_clean_text)]
Prompt = Annotated[Text, AfterValidator(_require_visible)]
Task = Annotated[
    str,
    Field(
        strict=True,
        max_length=64,
        description="Id of a model, see `/models`, or `auto` for the best one now.",
    ),
]
Whole = Annotated[int, Field(strict=True, ge=-(2**31), le=2**31)]  # held against the model's rule later
Steps = Annotated[int, Field(strict=True, ge=1, le=100)]
Shift = Annotated[float, Field(strict=True, ge=1, le=30, allow_inf_nan=False)]
Boundary = Annotated[float, Field(strict=True, gt=0, lt=1, allow_inf_nan=False)]
Fps = Annotated[int, Field(strict=True, ge=1, le=60)]
Scale = Annotated[float, Field(strict=True, ge=1, le=20, allow_inf_nan=False)]  # 1 switches guidance off
Scales = Annotated[
    tuple[Scale, Scale], BeforeValidator(_both, json_schema_input_type=Scale | tuple[Scale, Scale])
]
Wait = Annotated[float, Field(strict=True, ge=1, le=7 * 24 * 3600, allow_inf_nan=False)]
Flag = Annotated[bool, Field(strict=True)]
Source = Annotated[
    str,
    Field(strict=True, min_length=1, max_length=MAX_SOURCE_CHARACTERS),
    AfterValidator(_clean_text),
    AfterValidator(_require_visible),
]
"""Where an input is: ``asset://`` of an upload, an https or a data URL, or a path below ``INPUTS_DIR``."""

WebhookUrl = Annotated[str, Field(strict=True, max_length=2048, pattern=r"^[^\s\x00-\x1f\x7f]+$")]
WebhookEvent = Literal[
    "video.queued",
    "video.in_progress",
    "video.completed",
    "video.failed",
    "video.cancelled",
    "video.expired",
]
WebhookEvents = Annotated[
    tuple[WebhookEvent, ...],
    BeforeValidator(_words, json_schema_input_type=tuple[WebhookEvent, ...]),
    Field(min_length=1),
]
"""A list; a form may send the names with commas between."""
