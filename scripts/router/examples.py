"""The labelled queries, and what training makes of them: variations that must not change the answer."""

from __future__ import annotations

import json
import random
import re
import tomllib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from routing.features import features
from routing.lexicon import load_lexicon
from routing.text import normalise, tokens
from scripts.router.grammar import sentences

DATA = Path(__file__).parent.parent.parent / "tests" / "data" / "routing"
_KINDS = {"i": "image", "a": "audio", "v": "video", "p": "pose"}
_BEFORE = (
    "please ",
    "can you ",
    "could you please ",
    "hey, ",
    "I want you to ",
    "Hi! ",
    "pls ",
    "i'd like you to ",
)
_AFTER = (" please", " thanks", " asap", "!", " for me", " thank you")
HELD_OUT = ("test", "fresh", "first_sight", "second_sight", "third_sight", "fourth_sight", "fifth_sight")
"""Splits that nothing is trained on."""
_VARIED, _FILLED = 0.3, 0.35  # weights of a query made from another, and of a sentence with a gap filled
_GRAMMATICAL = 0.25  # weight of a sentence of a grammar


@dataclass(frozen=True, slots=True)
class Example:
    """A query and the intent it has. ``weight`` is how much it counts in training."""

    query: str
    attachments: Sequence[str]
    intent: str
    language: str
    modalities: Sequence[str] = ()
    weight: float = 1.0


def read_examples(split: str) -> list[Example]:
    """``train``, ``dev`` or one of ``HELD_OUT``."""
    lines = (DATA / f"{split}.jsonl").read_text(encoding="utf-8").splitlines()
    return [Example(**json.loads(line)) for line in lines]


def training_set(examples: Sequence[Example], seed: int = 0) -> list[Example]:
    """The examples, variations of each, and sentences put together from templates and grammars.

    Nothing that is put together says the same as a query of ``HELD_OUT``.
    """
    dice = random.Random(seed)  # noqa: S311 - repeatable on purpose
    varied = [variant for example in examples for variant in _variations(example, dice)]
    put_together = [*varied, *_filled(dice), *_grammatical(dice)]
    held_out = {_said(example) for split in HELD_OUT for example in read_examples(split)}
    return [*examples, *(example for example in put_together if _said(example) not in held_out)]


def _said(example: Example) -> tuple[frozenset[str], tuple[str, ...]]:
    """What a query says, in whatever order and punctuation, and what comes with it."""
    words = frozenset(token.text for token in tokens(normalise(example.query)))
    return words, tuple(sorted(example.attachments))


def _variations(example: Example, dice: random.Random) -> Iterator[Example]:
    variant = replace(example, weight=_VARIED)
    if example.attachments:
        # The kinds may be announced and not attached; where the words name them, not even that.
        yield replace(variant, attachments=(), modalities=sorted(set(example.attachments)))
        if _names_what_it_needs(example):
            yield replace(variant, attachments=(), weight=0.5)
    elif example.intent in ("t2v", "animate", "s2v", "i2v"):
        yield replace(variant, modalities=("video",))  # as the kind that is wanted
    if example.language != "en":
        yield replace(variant, query=f"{example.query}.")
    elif len(example.query.split()) > 2:  # noqa: PLR2004 - shorter ones hardly bear it
        yield replace(variant, query=dice.choice(_BEFORE) + example.query[0].lower() + example.query[1:])
        yield replace(variant, query=example.query + dice.choice(_AFTER))
        yield replace(variant, query=_with_typo(example.query, dice))


_NEEDS: dict[str, Callable[[set[str]], bool]] = {
    "i2v": lambda said: "image" in said and bool(said & {"animate", "video"}),
    "stt": lambda said: "transcribe" in said,
    "animate": lambda said: bool(said & {"transfer", "replace"}) and bool(said & {"video", "motion"}),
    "s2v": lambda said: "lipsync" in said or ("speak" in said and bool(said & {"image", "face"})),
    "multimodal": lambda said: (
        bool(said & {"describe", "summarize", "question"}) and bool(said & {"image", "video"})
    ),
}


def _names_what_it_needs(example: Example) -> bool:
    found = features(example.query, (), (), load_lexicon())
    said = {name.removeprefix("concept ") for name in found if name.startswith("concept ")}
    return example.intent in _NEEDS and _NEEDS[example.intent](said)


def _with_typo(query: str, dice: random.Random) -> str:
    words = list(re.finditer(r"[a-z]{5,}", query))
    if not words:
        return query
    match = dice.choice(words)
    word, at = match[0], dice.randrange(1, len(match[0]) - 1)
    slips = (
        word[:at] + word[at + 1 :],
        word[:at] + word[at] + word[at:],
        word[:at] + word[at + 1] + word[at] + word[at + 2 :],
    )
    return query[: match.start()] + dice.choice(slips) + query[match.end() :]


def _filled(dice: random.Random) -> Iterator[Example]:
    templates = tomllib.loads((DATA / "templates.toml").read_text(encoding="utf-8"))
    yield from _about_tasks(templates.pop("tasks"), dice)
    yield from _put_together(templates.pop("grammar"), templates.pop("words"), dice)
    for language, intents in templates.items():
        subjects = intents.pop("subjects")
        for intent, lines in intents.items():
            for sentence in lines:
                count = 4 if language != "en" else 6 if sentence == "{s}" else 3
                for subject in dice.sample(subjects, count):
                    query, attachments = _with_attachments(sentence.replace("{s}", subject))
                    yield Example(query, attachments, intent, language, weight=_FILLED)


def _grammatical(dice: random.Random) -> Iterator[Example]:
    for language, intent, sentence in sentences(DATA / "grammar", dice):
        query, attachments = _with_attachments(sentence)
        yield Example(query, attachments, intent, language, weight=_GRAMMATICAL)


def _about_tasks(tasks: dict[str, list[str]], dice: random.Random) -> Iterator[Example]:
    """Questions about a task are for the language model; the same task asked for is for its service."""
    about, asking = tasks.pop("about"), tasks.pop("asking")
    for intent, names in tasks.items():
        for name in names:
            for sentence in dice.sample(about, 6):
                yield Example(sentence.replace("{t}", name), (), "vllm", "en", weight=_FILLED)
            for sentence in dice.sample(asking, 3):
                yield Example(sentence.replace("{t}", name), (), intent, "en", weight=_FILLED)


def _put_together(
    grammars: list[dict[str, Any]], words: dict[str, dict[str, list[str]]], dice: random.Random
) -> Iterator[Example]:
    """Sentences whose gaps name lists of words; a gap with a capital begins a sentence."""
    for grammar in grammars:
        language = grammar["language"]
        for _ in range(grammar["count"]):
            sentence, attachments = _with_attachments(dice.choice(grammar["sentences"]))
            query = re.sub(r"\{(\w+)\}", lambda gap: _word(gap[1], words[language], dice), sentence)  # noqa: B023 - called at once
            yield Example(query, attachments, grammar["intent"], language, weight=_FILLED)


def _word(gap: str, words: dict[str, list[str]], dice: random.Random) -> str:
    word = dice.choice(words[gap.lower()])
    return word if gap.islower() else word[0].upper() + word[1:]


def _with_attachments(sentence: str) -> tuple[str, list[str]]:
    if not sentence.startswith("+"):
        return sentence, []
    kinds, _, query = sentence.partition(" ")
    return query, [_KINDS[kind] for kind in kinds[1:].split(",")]
