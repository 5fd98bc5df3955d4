"""The words to be spoken within a query: between quotation marks, or after a colon or a verb of saying."""

from __future__ import annotations

import re
from collections.abc import Iterator

from routing.phrases import Span, pattern, phrases


def spoken_words(query: str) -> tuple[str, Span] | None:
    """What somebody in the video is to say, and the place it stands in.

    The longest quotation counts; without one, what follows the first colon; without that, what follows
    *say* and the like.
    """
    quotations = list(_quotations(query))
    if quotations:
        return max(quotations, key=lambda found: len(found[0]))
    known = phrases("speech")
    ways = (known["colon"], *known["saying"])
    match = next((found for way in ways if (found := pattern(way).search(query))), None)
    return (match["said"].strip(), match.span()) if match else None


def text_to_read(query: str) -> str:
    """What is to be read aloud: a quotation, or what follows the instruction; the whole query without one."""
    quotations = list(_quotations(query))
    if quotations:
        return max(quotations, key=lambda found: len(found[0]))[0]
    known = phrases("speech")
    match = pattern(known["colon"]).search(query) or pattern(known["reading"]).search(query)
    return match["said"].strip() if match else query


def _quotations(query: str) -> Iterator[tuple[str, Span]]:
    for style in phrases("speech")["quotes"]:
        matches: Iterator[re.Match[str]] = pattern(style).finditer(query)
        yield from ((match[1].strip(), match.span()) for match in matches if match[1].strip())
