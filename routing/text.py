"""Text as the classifier reads it: one spelling for what means the same, words, and the language."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

from routing.phrases import pattern, phrases

LANGUAGES = ("en", "zh", "es", "fr", "de", "pt", "ja", "ko", "ru", "hi")

# Marks are dropped from Latin, Greek and Cyrillic letters alone: those of other scripts are letters.
_MARKS = re.compile("[\u0300-\u036f]")
_QUOTES = {
    ord(mark): plain
    for plain, marks in (("'", "\u2019\u2018`"), ('"', "\u201c\u201d\u201e\xab\xbb"))
    for mark in marks
}
# Words of scripts that put spaces between them; runs of those that do not. Korean, whose words change at
# their ends, is read as runs, spaces and all. Vowel signs belong to Hindi's words.
_TOKEN = re.compile(
    r"(?P<run>[\u3040-\u30ff\u3400-\u9fff]+|[\uac00-\ud7af]+(?: [\uac00-\ud7af]+)*)"
    r"|[\w\u0900-\u0963\u0970-\u097f]+(?:'\w+)?"
)

_LETTER = re.compile(r"\w")
_MOSTLY = 0.25
_SPELLING = 1.5  # how many common words a telling spelling is worth
_SCRIPTS = {
    "ja": re.compile("[\u3040-\u30ff]"),
    "ko": re.compile("[\uac00-\ud7af]"),
    "zh": re.compile("[\u3400-\u9fff]"),
    "hi": re.compile("[\u0900-\u097f]"),
    "ru": re.compile("[\u0400-\u04ff]"),
}


class Token(NamedTuple):
    """A word, or a run of characters of a script without spaces. ``start`` is its place in the text."""

    start: int
    text: str
    is_run: bool


def normalise(text: str) -> str:
    """Lower case, plain quotes, no accents on Latin or Cyrillic letters, and no full-width forms."""
    decomposed = unicodedata.normalize(
        "NFD", unicodedata.normalize("NFKC", text).translate(_QUOTES).casefold()
    )
    return unicodedata.normalize("NFC", _MARKS.sub("", decomposed))


def tokens(normalised: str) -> list[Token]:
    """The words and runs of a normalised text, in order."""
    return [Token(m.start(), m[0], m["run"] is not None) for m in _TOKEN.finditer(normalised)]


def guess_language(text: str, words: list[Token]) -> str:
    """The most likely of ``LANGUAGES``: by script where that decides, else by common words and spellings.

    Args:
        text: as it came; accents count.
        words: the tokens of the same text, normalised.
    """
    for language, script in _SCRIPTS.items():
        share = len(script.findall(text)) / max(1, len(_LETTER.findall(text)))
        # Japanese and Chinese share characters, but kana are Japanese alone.
        if share > _MOSTLY or (share and language == "ja"):
            return language
    scores = Counter(dict(_scores(text.casefold(), words)))
    best, score = scores.most_common(1)[0]
    return best if score > scores["en"] else "en"


def _scores(text: str, words: list[Token]) -> Iterator[tuple[str, float]]:
    for language, known in phrases("languages").items():
        common = known["words"].split()
        spellings = len(pattern(known["spellings"]).findall(text)) if "spellings" in known else 0
        yield language, _SPELLING * spellings + sum(word.text in common for word in words)
