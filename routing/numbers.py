"""Numbers that a query names: seconds, frames, frame rate, seed, and the size of the picture."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from math import log
from typing import TypeVar

from routing.phrases import Span, pattern, phrases
from wan_models.catalog import FrameRule, ModelSpec, Size
from wan_models.fields import MAX_SEED

T = TypeVar("T")

_MAX_FPS = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Numbers:
    """What a query says in numbers, None where it says nothing.

    ``aspect`` is width over height, ``lines`` the shorter side in pixels; ``spans`` are the places in the
    query where all this stands.
    """

    seconds: float | None
    frames: int | None
    fps: int | None
    seed: int | None
    aspect: float | None
    lines: int | None
    spans: tuple[Span, ...]


def read_numbers(query: str) -> Numbers:
    """Everything that a query says in numbers, or in words such as *vertical* that stand for them."""
    known, spans = phrases("numbers"), list[Span]()
    fps = _first(known["fps"], query, spans, lambda m: int(m[1]) if 1 <= int(m[1]) <= _MAX_FPS else None)
    frames = _first(known["frames"], query, spans, lambda m: int(m[1]))
    size = _first(known["size"], query, spans, lambda m: Size(int(m[1]), int(m[2])))
    return Numbers(
        seconds=_first(_duration(), query, spans, lambda m: _seconds(m, query)),
        frames=frames,
        fps=fps,
        seed=_first(known["seed"], query, spans, lambda m: int(m[1]) if int(m[1]) <= MAX_SEED else None),
        aspect=size.width / size.height if size else _aspect(query, spans),
        lines=min(size) if size else _named(_lines(), query, spans),
        spans=tuple(_with_hanging(span, query) for span in spans),
    )


def frame_num(numbers: Numbers, rule: FrameRule, fps: int, max_seconds: float | None) -> int | None:
    """The frame count nearest to the wanted length, or None where the model's default is as good.

    Args:
        numbers: what the query says.
        rule: which counts the model makes.
        fps: frames a second of playback.
        max_seconds: no video may be longer, whatever the query says.
    """
    wanted = numbers.frames
    if wanted is None and numbers.seconds is not None:
        wanted = round(numbers.seconds * fps)
    if max_seconds is not None and _allowed(wanted, rule) > max_seconds * fps:
        return _at_most(int(max_seconds * fps), rule)
    return None if wanted is None else _nearest(wanted, rule)


def nearest_size(numbers: Numbers, spec: ModelSpec) -> Size | None:
    """The accepted size that comes nearest to what the query says, or None where it says nothing.

    The shape counts before the number of lines. Of sizes equally near, the first of the catalog.
    """
    if numbers.aspect is None and numbers.lines is None:
        return None
    default = spec.sizes[0]
    aspect, lines = numbers.aspect or default.width / default.height, numbers.lines or min(default)

    def distance(size: Size) -> tuple[float, float]:
        shape = abs(log(size.width / size.height / aspect))
        # 16:9 is not exactly the shape of any size; what is that near counts as the same.
        return round(shape, 1), abs(log(min(size) / lines))

    return min(spec.sizes, key=distance)


def _allowed(frames: int | None, rule: FrameRule) -> int:
    return rule.default if frames is None else _nearest(frames, rule)


def _nearest(frames: int, rule: FrameRule) -> int:
    bounded = min(max(frames, rule.minimum), rule.maximum)
    if rule.allows(bounded):
        return bounded
    below, above = rule.nearest(bounded)
    return below if bounded - below < above - bounded else above


def _at_most(frames: int, rule: FrameRule) -> int:
    if frames <= rule.minimum:
        return rule.minimum
    return frames if rule.allows(frames) else rule.nearest(frames)[0]


def _with_hanging(span: Span, query: str) -> Span:
    """A place, and before it the words that only lead to it: "in" of "in 4K"."""
    leading = pattern(phrases("numbers")["hanging"]).search(query[: span[0]])
    return (leading.start(), span[1]) if leading else span


def _first(text: str, query: str, spans: list[Span], read: Callable[[re.Match[str]], T | None]) -> T | None:
    """The first match that means something; its place is noted."""
    for match in pattern(text).finditer(query):
        value = read(match)
        if value is not None:
            spans.append(match.span())
            return value
    return None


def _named(values: Mapping[str, T], query: str, spans: list[Span]) -> T | None:
    """The first value that is named, and the place of every name of it ("vertical 9:16")."""
    for names, value in values.items():
        # Letters of scripts without spaces may stand on either side.
        found = list(pattern(rf"(?<![a-z0-9])(?:{names})(?![a-z0-9])").finditer(query))
        if found:
            spans.extend(match.span() for match in found)
            return value
    return None


@lru_cache(maxsize=1)
def _duration() -> str:
    known = phrases("numbers")
    counts = "|".join(sorted(map(re.escape, known["counts"]), key=len, reverse=True))
    return (
        rf"(?<![^\W\u3040-\u9fff\uac00-\ud7af])(?<![.:*]){known['before_length']}(?<![\d.:*])(?P<number>\d{{1,3}}(?:[.,]\d{{1,2}})?|{counts})"
        rf"[\s-]{{0,2}}(?:(?P<seconds>{known['seconds']})|(?P<minutes>{known['minutes']}))(?![a-zß-ÿа-яё])"
        rf"{known['after_length']}"
    )


def _seconds(match: re.Match[str], query: str) -> float | None:
    known = phrases("numbers")
    if pattern(known["not_a_length"]).search(query[: match.start("number")]):
        return None
    written = match["number"].lower()
    counted: float | None = known["counts"].get(written)
    if counted is not None and match["seconds"] == "s":
        return None  # "a s…"
    number = float(written.replace(",", ".")) if counted is None else float(counted)
    return (number * 60 if match["minutes"] else number) or None


@lru_cache(maxsize=1)
def _lines() -> dict[str, int]:
    return {names: int(lines) for lines, names in phrases("numbers")["lines"].items()}


def _aspect(query: str, spans: list[Span]) -> float | None:
    """The shape that is asked for, or else hinted at; the words of a hint stay."""
    asked = _named(_ratios("aspects"), query, spans)
    return asked or _named(_ratios("hints"), query, [])


@lru_cache(maxsize=2)
def _ratios(kind: str) -> dict[str, float]:
    known = phrases("numbers")["aspects"] if kind == "aspects" else phrases("hints")
    sides = {names: ratio.split(":") for ratio, names in known.items()}
    return {names: int(width) / int(height) for names, (width, height) in sides.items()}
