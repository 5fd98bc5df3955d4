"""What the classifier sees of a query: its concepts and their order, words, letters, and what came with it.

Concepts carry meaning across languages and subjects ("make … video" in any of them); words and letters
catch what the lexicon does not know; attachments stand beside each concept, as "say" asks for one thing
with a portrait and for another without.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise

from routing.lexicon import Hit, Lexicon
from routing.phrases import Span, pattern, phrases
from routing.text import Token, guess_language, normalise, tokens

HEAD, TAIL = 1200, 400
"""Characters of a long query that are read: what is wanted stands at its beginning or its end."""

_CONCEPT, _PAIR, _PLACE, _GIVEN, _WORD, _BIGRAM, _LETTERS = 1.0, 0.7, 1.0, 1.0, 0.6, 0.5, 0.25
_FIELDS = {
    "asks": {"write", "document", "question", "howto", "tech", "knowledge", "greeting", "seek"},
    "films": {"video", "shot", "animate"},
    "makes": {"make", "want", "show"},
    "pictures": {"image", "face", "draw", "graphic", "retouch"},
    "hears": {"audio", "transcribe", "music"},
    "speaks": {"speak", "lipsync", "readaloud", "voice"},
    "looks": {"describe", "summarize"},
    "moves": {"motion", "transfer", "replace", "pose"},
    "causes": {"cause"},
    "stages": {"scene", "stir", "person"},
}
"""Concepts that have to do with each other. Which fields a query touches, and which it does not, holds for
words that no training query had."""
_MEDIA = frozenset(
    {"video", "image", "document", "audio", "music", "graphic", "transcribe", "readaloud", "shot", "lipsync"}
)
_REQUESTS = frozenset({"make", "want", "show", "write", "into", "animate", "draw"})
_SHORT, _MEDIUM, _LONG = 2, 5, 14


def given(attachments: Sequence[str], modalities: Iterable[str]) -> str:
    """A name for what came with a query: the kinds attached, else those only announced, else nothing."""
    if attachments:
        kinds = "+".join(sorted(set(attachments)))
        return f"{kinds}, several" if len(attachments) > len(set(attachments)) else kinds
    announced = "+".join(sorted(set(modalities) - {"text"}))
    return f"announced {announced}" if announced else "nothing"


def features(
    query: str,
    attachments: Sequence[str],
    modalities: Iterable[str],
    lexicon: Lexicon,
    language: str | None = None,
) -> dict[str, float]:
    """Names and values of a query's features.

    Args:
        query: as the client wrote it.
        attachments: kind of each attachment.
        modalities: kinds that the client announces.
        lexicon: the concepts to look for.
        language: one of ``LANGUAGES`` if the client says which.
    """
    query = query if len(query) <= HEAD + TAIL else f"{query[:HEAD]} {query[-TAIL:]}"
    text = normalise(query)
    words = tokens(text)
    named = lexicon.find(words, language or guess_language(query, words))
    unwanted = negated(text)
    hits = [hit for hit in named if not _within(hit, unwanted)]
    found: dict[str, float] = {}
    origin = given(attachments, modalities)
    found.update((f"not {hit.concept}", _CONCEPT) for hit in named if _within(hit, unwanted))
    found.update(_of_concepts(hits, origin))
    found.update(_of_fields(hits, origin))
    found.update(_of_media(hits, origin))
    found.update(_of_words(words))
    found.update(_of_letters(words))
    found.update(_of_shape(text, words, origin))
    return found


def negated(text: str) -> list[Span]:
    """The places of a normalised text that tell what is not wanted, as in "not a script, just the video"."""
    known = phrases("negation")
    return [span for clause in pattern(known["clause"]).finditer(text) for span in _negated(clause, known)]


def _negated(clause: re.Match[str], known: Mapping[str, str]) -> Iterator[Span]:
    start, end = clause.span()
    if match := pattern(known["before"]).search(clause.string, start, end):
        but = pattern(known["but"]).search(clause.string, match.end(), end)
        yield match.end(), but.start() if but else end
    elif match := pattern(known["after"]).search(clause.string, start, end):
        yield start, match.start()


def _within(hit: Hit, spans: Iterable[Span]) -> bool:
    return any(start <= hit.start < end for start, end in spans)


def _of_concepts(hits: Sequence[Hit], origin: str) -> Iterator[tuple[str, float]]:
    # A place may hold several concepts ("avatar" is a face and a person): order is one of places.
    places: dict[int, list[str]] = {}
    for hit in hits:
        places.setdefault(hit.start, []).append(hit.concept)
    order = list(places.values())
    for concept in sorted({hit.concept for hit in hits}):
        yield f"concept {concept}", _CONCEPT
        yield f"{origin}: {concept}", _GIVEN
    for before, after in pairwise(order):
        yield from ((f"{one} > {other}", _PAIR) for one in before for other in after)
    for name, place in (("first", order[:1]), ("second", order[1:2]), ("last", order[-1:])):
        for concepts in place:
            yield from ((f"{name} {concept}", _PLACE) for concept in concepts)
            yield from ((f"{origin}: {name} {concept}", _PLACE / 2) for concept in concepts)
    for one, other in pairwise(order[:2]):
        yield from ((f"begins {a} {b}", _PLACE) for a in one for b in other)


def _of_fields(hits: Sequence[Hit], origin: str) -> Iterator[tuple[str, float]]:
    said = {hit.concept for hit in hits}
    touched = sorted(name for name, concepts in _FIELDS.items() if said & concepts)
    yield f"fields {'+'.join(touched)}", _CONCEPT
    yield f"{origin}: fields {'+'.join(touched)}", _GIVEN
    for name in _FIELDS:
        yield f"field {name} {name in touched}", _CONCEPT / 2
        yield f"{origin}: field {name} {name in touched}", _GIVEN / 2


def _of_media(hits: Sequence[Hit], origin: str) -> Iterator[tuple[str, float]]:
    """What the query is for is often the first medium it names, or the first after a request."""
    named = [hit.concept for hit in hits]
    first = next((concept for concept in named if concept in _MEDIA), "none")
    yield f"medium {first}", _CONCEPT
    yield f"{origin}: medium {first}", _GIVEN
    for at, concept in enumerate(named):
        if concept in _REQUESTS:
            wanted = next((other for other in named[at + 1 :] if other in _MEDIA), "none")
            yield f"{concept} medium {wanted}", _CONCEPT
            break


def _of_words(words: Sequence[Token]) -> Iterator[tuple[str, float]]:
    spaced = [word.text for word in words if not word.is_run]
    yield from ((f"word {word}", _WORD) for word in sorted(set(spaced)))
    yield from ((f"words {a} {b}", _BIGRAM) for a, b in pairwise(spaced))
    if spaced:
        yield f"begins with {spaced[0]}", _WORD


def _of_letters(words: Sequence[Token]) -> Iterator[tuple[str, float]]:
    for word in words:
        sizes = (1, 2, 3) if word.is_run else (4, 5)
        padded = word.text if word.is_run else f"_{word.text}_"
        for size in sizes:
            for at in range(len(padded) - size + 1):
                yield f"letters {padded[at : at + size]}", _LETTERS


def _of_shape(text: str, words: Sequence[Token], origin: str) -> Iterator[tuple[str, float]]:
    yield f"given {origin}", _GIVEN
    yield from ((f"given some {kind}", _GIVEN) for kind in re.findall(r"\w+", origin))
    shapes = [name for name, shape in phrases("shapes").items() if pattern(shape).search(text)]
    for name in shapes:
        if name != "question mark" or "polite question" not in shapes:  # "can you …?" asks for no answer
            yield f"shape {name}", _CONCEPT
            yield f"{origin}: shape {name}", _GIVEN / 2
    count = sum(len(word.text) // 2 if word.is_run else 1 for word in words)
    length = (
        "tiny" if count <= _SHORT else "short" if count <= _MEDIUM else "medium" if count <= _LONG else "long"
    )
    yield f"length {length}", _CONCEPT / 2
    yield f"{origin}: length {length}", _GIVEN / 2


def scores(
    found: Mapping[str, float], weights: Mapping[str, Sequence[float]], bias: Sequence[float]
) -> list[float]:
    """The linear score of each class; features without weights count nothing."""
    total = list(bias)
    for name, value in found.items():
        row = weights.get(name)
        if row is not None:
            for index, weight in enumerate(row):
                total[index] += value * weight
    return total
