"""The patterns by which the parameters within a query are found, read from ``data/phrases.toml``."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from functools import lru_cache
from importlib.resources import files
from typing import Any

Span = tuple[int, int]
"""Beginning and end of a place in a text."""


@lru_cache(maxsize=1)
def _phrases() -> dict[str, Any]:
    text = (files("routing") / "data" / "phrases.toml").read_text(encoding="utf-8")
    parsed = tomllib.loads(text)
    parts: dict[str, str] = parsed.pop("parts")
    return {name: _with_parts(section, parts) for name, section in parsed.items()}


def _with_parts(value: Any, parts: Mapping[str, str]) -> Any:
    match value:
        case dict():
            return {name: _with_parts(one, parts) for name, one in value.items()}
        case list():
            return [_with_parts(one, parts) for one in value]
        case str():
            return re.sub("<<([a-z_]+)>>", lambda match: parts[match[1]], value)
        case _:
            return value


def phrases(section: str) -> dict[str, Any]:
    """One section of the file."""
    found: dict[str, Any] = _phrases()[section]
    return found


def pattern(text: str) -> re.Pattern[str]:
    """A pattern of the file, compiled. Python keeps what it compiled, so that this is cheap to ask for."""
    return re.compile(text, re.IGNORECASE | re.DOTALL)


def without(text: str, *spans: Span) -> str:
    """A text less the places given, which may overlap; a space stands for each of their characters."""
    kept = list(text)
    for start, end in spans:
        kept[start:end] = " " * (end - start)
    return "".join(kept)
