"""Numbers that a query names: seconds, frames, frame rate, seed, and the size of the picture.

Each reader gives the value and the places it stands in, so that the prompt can go without them.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from math import log
from typing import TypeVar

from wan_models.catalog import FrameRule, ModelSpec, Size
from wan_models.fields import MAX_SEED

Span = tuple[int, int]
T = TypeVar("T")
V = TypeVar("V")

_COUNT = {
    "a": 1, "an": 1, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8,
    "nine": 9, "ten": 10, "twelve": 12, "fifteen": 15, "twenty": 20, "thirty": 30, "sixty": 60, "half a": 0.5,
    "一": 1, "二": 2, "两": 2, "三": 3, "四": 4, "五": 5, "六": 6, "七": 7, "八": 8, "九": 9, "十": 10,
    "cinco": 5, "dos": 2, "tres": 3, "diez": 10, "cinq": 5, "dix": 10, "deux": 2, "trois": 3, "six": 6,
    "fünf": 5, "zehn": 10, "zwei": 2, "drei": 3, "dez": 10, "пять": 5, "десять": 10, "पांच": 5, "दस": 10,
}  # fmt: skip
_NUMBER = r"\d{1,4}(?:[.,]\d{1,2})?|" + "|".join(sorted(map(re.escape, _COUNT), key=len, reverse=True))
_SECONDS = (
    r"s|secs?|seconds?|seg|segundos?|secondes?|sek|sekunden?|segundos|сек(?:унд\w*)?|秒钟?|秒間?|초(?:짜리|간)?|"
    r"सेकंड|सेकेंड"
)
_MINUTES = r"mins?|minutes?|minutos?|minuten?|минут\w*|分钟|分間?|분(?:짜리)?|मिनट"
_DURATION = re.compile(
    rf"(?<![\w.:*])(?P<number>{_NUMBER})[\s-]{{0,2}}(?:(?P<seconds>{_SECONDS})|(?P<minutes>{_MINUTES}))(?![a-z])"
    r"(?:[\s-]long)?",
    re.IGNORECASE,
)
_NOT_A_LENGTH = re.compile(r"\b(?:after|at|every|last|first|within|in the first)\s+(?:the\s+)?$", re.IGNORECASE)
_FPS = re.compile(r"(?<!\w)(\d{1,3})\s*(?:fps|frames?\s+(?:per|a)\s+second|帧/秒|프레임)(?!\w)", re.IGNORECASE)
_FRAMES = re.compile(r"(?<!\w)(\d{1,4})\s*(?:frames?|帧|フレーム|cuadros|fotogramas|кадр\w*|bilder)(?!\w)", re.IGNORECASE)
_SEED = re.compile(
    r"(?<!\w)(?:base[_ ])?(?:seed|semilla|graine|semente|зерно|сид|种子|シード|시드|सीड)(?:\s*(?:number|is|of|=|:|：))*\s*"
    r"(\d{1,16})(?!\d)",
    re.IGNORECASE,
)
_SIZE = re.compile(r"(?<![\d.])(\d{2,5})\s*(?:[*x×]|by)\s*(\d{2,5})(?!\d)", re.IGNORECASE)
_LINES = {
    r"(?:8k|4k|2k|uhd|qhd|2160p?|1440p|1080p|full[- ]?hd|fhd|ultra[- ]?hd)": 2160,
    r"(?:720p?|hd)": 720,
    r"(?:480p?|360p|240p|sd|low[- ]res(?:olution)?)": 480,
}
_ASPECTS = {
    r"9\s?:\s?16|(?:vertical(?:e|mente|es)?|upright|tall|hochformat|hochkant|вертикальн\w*)(?: (?:format|mode))?"
    r"|portrait[- ](?:mode|format|orientation|video|clip|footage)|tik ?tok|(?:instagram |ig )?(?:story|stories|reels?)"
    r"|shorts|竖屏|縦(?:長|型|動画)?|세로(?:형)?|वर्टिकल|खड़ा": 9 / 16,
    r"16\s?:\s?9|wide-?screen|(?:horizontal(?:e)?|querformat|горизонтальн\w*)(?: (?:format|mode))?"
    r"|landscape[- ](?:mode|format|orientation|video)|横屏|横長|가로(?:형)?|panorámico": 16 / 9,
    r"1\s?:\s?1|square(?: (?:video|clip|format))?|cuadrado|carré|quadratisch\w*|quadrado|квадратн\w*|正方形|方形|정사각형": 1.0,
    r"21\s?:\s?9|ultra-?wide": 21 / 9,
    r"4\s?:\s?3": 4 / 3,
    r"3\s?:\s?4": 3 / 4,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Numbers:
    """What a query says in numbers, None where it says nothing. ``spans`` are the places they stand in."""

    seconds: float | None
    frames: int | None
    fps: int | None
    seed: int | None
    aspect: float | None
    lines: int | None
    exact: Size | None
    spans: tuple[Span, ...]


def read_numbers(query: str) -> Numbers:
    """Everything that a query says in numbers, or in words such as *vertical* that stand for them."""
    spans: list[Span] = []
    fps = _first(_FPS, query, spans, lambda m: int(m[1]) if 1 <= int(m[1]) <= 60 else None)
    frames = None if fps and not _FRAMES.search(_FPS.sub("", query)) else _first(_FRAMES, query, spans, lambda m: int(m[1]))
    size = _first(_SIZE, query, spans, lambda m: Size(int(m[1]), int(m[2])))
    return Numbers(
        seconds=_first(_DURATION, query, spans, _seconds),
        frames=frames,
        fps=fps,
        seed=_first(_SEED, query, spans, lambda m: int(m[1]) if int(m[1]) <= MAX_SEED else None),
        aspect=size.width / size.height if size else _named(_ASPECTS, query, spans),
        lines=min(size) if size else _named(_LINES, query, spans),
        exact=size,
        spans=tuple(spans),
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
    if max_seconds is not None and (wanted or rule.default) > max_seconds * fps:
        return _at_most(int(max_seconds * fps), rule)
    return None if wanted is None else _nearest(wanted, rule)


def nearest_size(numbers: Numbers, spec: ModelSpec) -> Size | None:
    """The accepted size that comes nearest to what the query says, or None where it says nothing.

    The shape counts before the number of lines. Of shapes equally near, the wide one.
    """
    if numbers.aspect is None and numbers.lines is None:
        return None
    aspect = numbers.aspect or spec.sizes[0].width / spec.sizes[0].height
    lines = numbers.lines or min(spec.sizes[0])

    def distance(size: Size) -> tuple[float, float]:
        shape = abs(log(size.width / size.height / aspect))
        # 16:9 is not exactly the shape of any size; what is that near counts as the same.
        return round(shape, 1), abs(log(min(size) / lines))

    return min(spec.sizes, key=distance)


def _nearest(frames: int, rule: FrameRule) -> int:
    bounded = min(max(frames, rule.minimum), rule.maximum)
    if rule.allows(bounded):
        return bounded
    below, above = rule.nearest(bounded)
    return below if bounded - below < above - bounded else above


def _at_most(frames: int, rule: FrameRule) -> int:
    if frames <= rule.minimum:
        return rule.minimum
    return frames if rule.allows(frames) else min(rule.maximum, rule.nearest(frames)[0])


def _first(
    pattern: re.Pattern[str], query: str, spans: list[Span], read: Callable[[re.Match[str]], T | None]
) -> T | None:
    """The first match that means something; its place is noted."""
    for match in pattern.finditer(query):
        value = read(match)
        if value is not None and not _NOT_A_LENGTH.search(query[: match.start()]):
            spans.append(match.span())
            return value
    return None


def _seconds(match: re.Match[str]) -> float | None:
    written = match["number"].lower()
    number = _COUNT[written] if written in _COUNT else float(written.replace(",", "."))
    if match["seconds"] == "s" and written in _COUNT:
        return None  # "a s…"
    seconds = number * 60 if match["minutes"] else number
    return seconds if seconds > 0 else None


def _named(names: dict[str, V], query: str, spans: list[Span]) -> V | None:
    for pattern, value in names.items():
        match = re.search(rf"(?<!\w)(?:{pattern})(?!\w)" if pattern.isascii() else pattern, query, re.IGNORECASE)
        if match:
            spans.append(match.span())
            return value
    return None
