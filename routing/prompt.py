"""The prompt within a query: what to show, without the words that ask for it."""

from __future__ import annotations

from routing.phrases import pattern, phrases
from wan_models.fields import MAX_PROMPT_CHARACTERS


def avoided(query: str) -> tuple[str | None, str]:
    """What the video is to go without, if the query says so, and the query less that."""
    avoid = pattern(phrases("prompt")["avoid"])
    found = [match["what"].strip() for match in avoid.finditer(query)]
    return (", ".join(found) or None), avoid.sub("", query)


def prompt_of(query: str, language: str) -> str:
    """The description within a query; empty where the query only asks, as in "animate this photo".

    Args:
        query: less everything that became a parameter of its own.
        language: whose ways of asking are known beside the English ones.
    """
    text = _tidy(pattern(phrases("prompt")["thanks"]).sub("", query.strip()))
    asking = phrases("asking")
    for language_known in dict.fromkeys((language, "en")):
        for way in asking[language_known]:
            text = _tidy(pattern(way).sub("", text, count=1))
    return text[:MAX_PROMPT_CHARACTERS].strip()


def _tidy(text: str) -> str:
    for leftover, replacement in phrases("prompt")["leftovers"]:
        text = pattern(leftover).sub(replacement, text)
    return text.strip()
