"""Text as the classifier reads it: one spelling for what means the same, cut into words, in a known language."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

LANGUAGES = ("en", "zh", "es", "fr", "de", "pt", "ja", "ko", "ru", "hi")

# Marks are dropped from Latin, Greek and Cyrillic letters alone: those of other scripts are letters.
_MARKS = re.compile("[\u0300-\u036f]")
_QUOTES = str.maketrans("’‘“”„«»`", "''\"\"\"\"\"'")
# Words of scripts that put spaces between them; runs of those that do not; vowel signs belong to Hindi's.
_TOKEN = re.compile(r"(?P<run>[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]+)|[\w\u0900-\u0963\u0970-\u097f]+(?:'\w+)?")

_SCRIPTS = {
    "ja": re.compile("[\u3040-\u30ff]"),
    "ko": re.compile("[\uac00-\ud7af]"),
    "zh": re.compile("[\u3400-\u9fff]"),
    "hi": re.compile("[\u0900-\u097f]"),
    "ru": re.compile("[\u0400-\u04ff]"),
}
_COMMON_WORDS = {
    "en": "the a an of and to in is it that for on with this my me i you please can from make what how do are",
    "es": "el la los las un una de del que en con para por mi es y se al esta este haz como lo su al sobre hola",
    "fr": "le la les un une des de du que qui en dans avec pour par mon ma est et au aux cette ce fais sur une",
    "de": "der die das den dem ein eine einen einer und von mit im in auf fur zu ist aus mir dieses diese bitte mein",
    "pt": "o a os as um uma de do da que em no na com para por meu minha e esta este faca gere crie sobre neste ela",
}
_STOPWORDS = {language: frozenset(words.split()) for language, words in _COMMON_WORDS.items()}
# Letters and spellings that tell the Romance languages and German from each other and from English.
_TELLTALES = {
    "es": re.compile(r"[ñ¿¡]|ción\b|ídeo|\bdel\b|\bhaz\b|\bvoz\b"),
    "fr": re.compile(r"[çœêîûù]|\b[dljcnmst]'\w|\bqu'|\beux?\b|éo\b"),
    "de": re.compile(r"[äöüß]|\bsch|ung\b|\bich\b"),
    "pt": re.compile(r"[ãõ]|ção\b|\bvocê\b|\bnão\b"),
}


class Token(NamedTuple):
    """A word, or a run of characters of a script that writes no spaces. ``start`` is its place in the text."""

    start: int
    text: str
    is_run: bool


def normalise(text: str) -> str:
    """Lower case, plain quotes, no accents on Latin or Cyrillic letters, and no full-width forms."""
    decomposed = unicodedata.normalize("NFD", unicodedata.normalize("NFKC", text).translate(_QUOTES).casefold())
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
        if len(script.findall(text)) * 4 >= len(re.findall(r"\w", text)) or (language == "ja" and script.search(text)):
            return language
    scores = Counter(dict(_scores(text.casefold(), words)))
    best, score = scores.most_common(1)[0]
    return best if score > scores["en"] else "en"


def _scores(text: str, words: list[Token]) -> Iterator[tuple[str, float]]:
    for language, common in _STOPWORDS.items():
        telltales = _TELLTALES.get(language)
        found = 1.5 * len(telltales.findall(text)) if telltales else 0
        yield language, found + sum(word.text in common for word in words)
