"""Words by meaning: finds the concepts of a text, such as *make*, *video* or *speak*, in ten languages."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.resources import files
from typing import NamedTuple

from routing.text import Token, normalise, tokens

MIN_TYPO_LETTERS = 5


class Hit(NamedTuple):
    """A concept that the text names, and where."""

    start: int
    concept: str


@dataclass(slots=True)
class _Words:
    """The entries of one language: phrases by their first word, beginnings of words, and character runs."""

    phrases: dict[str, list[tuple[tuple[str, ...], str]]] = field(default_factory=dict)
    stems: dict[str, list[str]] = field(default_factory=dict)
    runs: dict[str, list[str]] = field(default_factory=dict)
    typos: dict[str, str] = field(default_factory=dict)


class Lexicon:
    """Concepts and the words for them.

    Args:
        entries: concept → language → words, as in ``data/lexicon.toml``.
    """

    def __init__(self, entries: Mapping[str, Mapping[str, str]]) -> None:
        self.concepts = frozenset(entries)
        self._languages: dict[str, _Words] = {}
        for concept, languages in entries.items():
            for language, words in languages.items():
                for word in dict.fromkeys(word.strip() for word in words.split(",")):
                    self._add(self._languages.setdefault(language, _Words()), word, concept)
        english = self._languages["en"]
        known = {*english.phrases, *english.stems}
        english.typos = {
            typo: word
            for word in sorted(known)  # in one order, as two words may share a slip
            if len(word) >= MIN_TYPO_LETTERS
            for typo in _typos(word)
            if typo not in known
        }

    def find(self, words: Sequence[Token], language: str) -> list[Hit]:
        """The concepts of a text, in the order of their words; in any language English words count too."""
        sources = [self._languages[language]]
        if language != "en":
            sources.append(self._languages["en"])
        hits: list[Hit] = []
        index = 0
        while index < len(words):
            if words[index].is_run:
                hits.extend(_in_run(words[index], sources[0]))
                index += 1
            else:
                length, concepts = _longest(words, index, sources)
                hits.extend(Hit(words[index].start, concept) for concept in concepts)
                index += length
        return hits

    def _add(self, language: _Words, entry: str, concept: str) -> None:
        normal = normalise(entry)
        if normal.endswith("*"):
            language.stems.setdefault(normal[:-1], []).append(concept)
            return
        parts = tokens(normal)
        if len(parts) == 1 and parts[0].is_run:
            language.runs.setdefault(normal, []).append(concept)
        phrase = tuple(part.text for part in parts)
        known = language.phrases.setdefault(phrase[0], [])
        if (phrase, concept) not in known:  # "text to speech" and "text-to-speech" are the same words
            known.append((phrase, concept))


@lru_cache(maxsize=1)
def load_lexicon() -> Lexicon:
    """The lexicon that is shipped."""
    return Lexicon(tomllib.loads((files("routing") / "data" / "lexicon.toml").read_text(encoding="utf-8")))


def _longest(words: Sequence[Token], index: int, sources: Sequence[_Words]) -> tuple[int, list[str]]:
    """How many words the longest entry here takes, and its concepts; (1, []) where there is none."""
    for source in sources:
        found = _phrases(words, index, source) or _stem(words[index].text, source)
        if found:
            return found
    correct = sources[-1].typos.get(words[index].text)
    if correct is not None:
        return (
            _phrases([words[index]._replace(text=correct)], 0, sources[-1])
            or _stem(correct, sources[-1])
            or (1, [])
        )
    return 1, []


def _phrases(words: Sequence[Token], index: int, source: _Words) -> tuple[int, list[str]] | None:
    length, concepts = 0, list[str]()
    for phrase, concept in source.phrases.get(words[index].text, ()):
        if len(phrase) < length or tuple(word.text for word in words[index : index + len(phrase)]) != phrase:
            continue
        if len(phrase) > length:
            length, concepts = len(phrase), []
        concepts.append(concept)
    return (length, concepts) if concepts else None


def _stem(word: str, source: _Words) -> tuple[int, list[str]] | None:
    for end in range(len(word), 2, -1):
        if concepts := source.stems.get(word[:end]):
            return 1, concepts
    return None


def _in_run(run: Token, source: _Words) -> Iterator[Hit]:
    """Concepts within characters that no spaces divide: the longest entry at each place, left to right."""
    text, at = run.text, 0
    while at < len(text):
        for end in range(min(len(text), at + 10), at, -1):
            if concepts := source.runs.get(text[at:end]):
                yield from (Hit(run.start + at, concept) for concept in concepts)
                at = end
                break
        else:
            at += 1


def _typos(word: str) -> Iterator[str]:
    """What a slip of the finger makes of a word: two letters exchanged, one left out, or one doubled."""
    for place in range(1, len(word)):
        yield word[:place] + word[place + 1 :]
        yield word[:place] + word[place] + word[place:]
        yield word[: place - 1] + word[place] + word[place - 1] + word[place + 1 :]
