"""The words to be spoken within a query: between quotation marks, or after a colon or a verb of saying."""

from __future__ import annotations

import re

from routing.numbers import Span

_QUOTES = (
    r"“(?P<a>[^“”]+)[”“\"]", r"„(?P<b>[^„“”\"]+)[“”\"]", r"«\s*(?P<c>[^«»]+?)\s*»", r"»(?P<d>[^«»]+)«", r"「(?P<e>[^「」]+)」",
    r"『(?P<f>[^『』]+)』", r"\"(?P<g>[^\"]+)\"", r"‘(?P<h>[^‘]+?)’(?!\w)", r"(?<!\w)'(?P<i>[^\n]+?)'(?!\w)", r"《(?P<j>[^《》]+)》",
    r"‹\s*(?P<k>[^‹›]+?)\s*›",
)  # fmt: skip
_QUOTED = re.compile("|".join(_QUOTES))
_AFTER_COLON = re.compile(r"[:：]\s*(?P<said>\S.*)$", re.DOTALL)
_AFTER_VERB = re.compile(
    r"\b(?:say(?:s|ing)?|announc(?:e|es|ing)|tell(?:s|ing)? (?:us|them|everyone|everybody|people|visitors)|speak(?:s|ing)? the words?)\s+"
    r"(?P<said>(?!something\b|anything\b|this\b|these\b|that\b|it\b|what\b)\S.*)$",
    re.IGNORECASE | re.DOTALL,
)  # fmt: skip
_READING = re.compile(
    r"^.{0,60}?\b(?:read (?:(?:this|it|the following)(?: text)? )?(?:aloud|out loud|out)|text[- ]to[- ]speech|tts|text2speech|speak|say|narrate|"
    r"convert (?:this|the following)?(?: text)? ?to speech|pronounce)\b[\s,:-]+(?P<said>\S.*)$",
    re.IGNORECASE | re.DOTALL,
)  # fmt: skip


def spoken_words(query: str) -> tuple[str, Span] | None:
    """What somebody in the video is to say, and the place it stands in.

    The longest quotation counts; without one, what follows the first colon; without that, what follows
    *say* and the like.
    """
    quotations = [(match[match.lastgroup or 0].strip(), match.span()) for match in _QUOTED.finditer(query)]
    if quotations:
        return max(quotations, key=lambda found: len(found[0]))
    match = _AFTER_COLON.search(query) or _AFTER_VERB.search(query)
    return (match["said"].strip(), match.span()) if match else None


def text_to_read(query: str) -> str:
    """What is to be read aloud: a quotation, or what follows the instruction; the whole query without one."""
    match = _QUOTED.search(query) or _AFTER_COLON.search(query)
    if match is not None:
        return match[match.lastgroup or 0].strip()
    read = _READING.search(query)
    return read["said"].strip() if read else query
