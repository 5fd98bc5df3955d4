"""The prompt within a query: what to show, without the words that ask for it."""

from __future__ import annotations

from routing.lexicon import load_lexicon
from routing.phrases import pattern, phrases
from routing.text import normalise, tokens
from wan_models.fields import MAX_PROMPT_CHARACTERS

_EDGE = 240  # characters; asking takes no more, and a bound keeps patterns from running away
_MOST_THANKS = 3
_INSTRUCTING = {"lipsync", "audio", "attached"}
_MOST_AVOIDED = 5


def avoided(query: str) -> tuple[str | None, str]:
    """What the video is to go without, if the query says so, and the query less that."""
    avoid = pattern(phrases("prompt")["avoid"])
    found = [match["what"].strip() for match in avoid.finditer(query)]
    return (", ".join(found[:_MOST_AVOIDED]) or None), avoid.sub("", query)


def prompt_of(query: str, language: str) -> str:
    """The description within a query; empty where the query only asks, as in "animate this photo".

    Args:
        query: less everything that became a parameter of its own.
        language: whose ways of asking are known beside the English ones.
    """
    text = _without_thanks(_tidy(query))
    asking = phrases("asking")
    for way in (*asking[language], *(asking["en"] if language != "en" else ())):
        text = _tidy(_without_asking(text, way))
    return text[:MAX_PROMPT_CHARACTERS].strip()


def scenery_of(prompt: str, language: str, *, quoted: bool) -> str:
    """What is to be seen, less the clauses that only say who is to speak, or what with.

    Args:
        prompt: as ``prompt_of`` gives it.
        language: of the prompt.
        quoted: whether words to be spoken were taken out, which leaves their "she says" behind.
    """
    instructing = _INSTRUCTING | {"speak", "readaloud"} if quoted else _INSTRUCTING
    lexicon = load_lexicon()
    clauses = pattern(r"[,;，、。]\s*|[.!?]\s+").split(prompt)  # noqa: RUF001 - Chinese commas
    seen = [
        clause
        for clause in clauses
        if not instructing & {hit.concept for hit in lexicon.find(tokens(normalise(clause)), language)}
    ]
    return ", ".join(seen).strip()


def _without_thanks(text: str) -> str:
    thanks = pattern(phrases("prompt")["thanks"])
    for _ in range(_MOST_THANKS):
        text = text[:-_EDGE] + thanks.sub("", text[-_EDGE:])
    return text


def _without_asking(text: str, way: str) -> str:
    """The text less one way of asking: at the beginning of a sentence, or at the end of all."""
    if way.startswith("^"):
        asked = pattern(rf"(?:^|(?<=[.!?] )){way[1:]}")
        return asked.sub("", text[:_EDGE], count=1) + text[_EDGE:]
    return text[:-_EDGE] + pattern(way).sub("", text[-_EDGE:], count=1)


def _tidy(text: str) -> str:
    text = " ".join(text.split())
    for leftover, replacement in phrases("prompt")["leftovers"]:
        text = pattern(leftover).sub(replacement, text)
    edges = phrases("prompt")["edges"]
    return text.lstrip(edges).rstrip(edges.rstrip(".!"))
