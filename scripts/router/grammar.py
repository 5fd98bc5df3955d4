"""Sentences put together from the grammars of ``tests/data/routing/grammar``, one of each language.

A grammar's ``[sentences]`` hold lines by intent. ``<a|b>`` is a choice, ``{s}`` a line of the list ``s`` in
``[words]``, and ``+i,a`` at the beginning what is attached.
"""

from __future__ import annotations

import random
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path

_CHOICE = re.compile(r"<([^<>]*)>")
_GAP = re.compile(r"\{(\w+)\}")
_MOST = 10  # sentences of one line, however many choices it has
_TRIES = 3


def sentences(folder: Path, dice: random.Random) -> Iterator[tuple[str, str, str]]:
    """Sentences of every line of every grammar: language, intent, and the sentence."""
    for path in sorted(folder.glob("*.toml")):
        grammar = tomllib.loads(path.read_text(encoding="utf-8"))
        words = {name: lines.strip().splitlines() for name, lines in grammar["words"].items()}
        for intent, lines in grammar["sentences"].items():
            for line in lines.strip().splitlines():
                yield from ((path.stem, intent, said) for said in _said(line, words, dice))


def _said(line: str, words: Mapping[str, list[str]], dice: random.Random) -> Iterator[str]:
    """Different sentences of a line: more of one that has more choices."""
    ways = 1
    for choice in _CHOICE.findall(line):
        ways *= choice.count("|") + 1
    ways *= 4 ** len(_GAP.findall(line))
    wanted, found = min(_MOST, ways), set[str]()
    for _ in range(wanted * _TRIES):
        if len(found) == wanted:
            break
        chosen = _CHOICE.sub(lambda match: dice.choice(match[1].split("|")), line)
        filled = _GAP.sub(lambda match: dice.choice(words[match[1]]), chosen)
        found.add(re.sub(r"\s+([,.])", r"\1", " ".join(filled.split())))
    yield from sorted(found)
