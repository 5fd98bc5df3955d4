"""Which intent a query has: a linear model over its features, trained beforehand and shipped as data.

``scripts.router.train`` trains it (multinomial logistic regression) on the labelled queries of
``tests/data/routing``; ``docs/routing.md`` tells how well it does. It takes about a millisecond, needs no
network and no numerical library, and gives the same answer everywhere.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from math import exp

from routing.features import features, scores
from routing.lexicon import Lexicon, load_lexicon

_TOLD = 3  # the concepts that an explanation names


@dataclass(frozen=True, slots=True)
class Classification:
    """Every intent and its probability, most likely first, and the concepts that spoke for the first."""

    ranking: tuple[tuple[str, float], ...]
    evidence: tuple[str, ...]

    @property
    def intent(self) -> str:
        """Name of the most likely intent."""
        return self.ranking[0][0]

    @property
    def confidence(self) -> float:
        """Its probability, 0 to 1."""
        return self.ranking[0][1]


@dataclass(frozen=True, slots=True)
class Weights:
    """A trained model: for each class a bias, and for each feature a weight a class."""

    classes: tuple[str, ...]
    bias: tuple[float, ...]
    features: Mapping[str, Sequence[float]]


class Classifier:
    """Tells a query's intent.

    Args:
        lexicon: the concepts that the weights were trained with.
        weights: what was learned.
    """

    def __init__(self, lexicon: Lexicon, weights: Weights) -> None:
        self._lexicon = lexicon
        self._weights = weights

    def classify(
        self,
        query: str,
        attachments: Sequence[str] = (),
        modalities: Sequence[str] = (),
        language: str | None = None,
    ) -> Classification:
        """Rank the intents of a query.

        Args:
            query: in any of the lexicon's languages.
            attachments: the kind of each attachment: image, audio, video or pose.
            modalities: kinds that the client announces, attached or not.
            language: the query's language, to be guessed if None.
        """
        found = features(query, attachments, modalities, self._lexicon, language)
        totals = scores(found, self._weights.features, self._weights.bias)
        most = max(totals)
        shares = [exp(total - most) for total in totals]
        whole = sum(shares)
        ranking = sorted(
            ((name, share / whole) for name, share in zip(self._weights.classes, shares, strict=True)),
            key=lambda pair: (-pair[1], pair[0]),
        )
        return Classification(tuple(ranking), self._evidence(found, ranking[0][0]))

    def _evidence(self, found: Mapping[str, float], intent: str) -> tuple[str, ...]:
        index, weights = self._weights.classes.index(intent), self._weights.features
        named = {
            name.removeprefix("concept "): weights[name][index]
            for name in found
            if name.startswith("concept ") and name in weights
        }
        strongest = sorted(named, key=lambda name: (-named[name], name))
        return tuple(name for name in strongest[:_TOLD] if named[name] > 0)


@lru_cache(maxsize=1)
def load_classifier() -> Classifier:
    """The classifier that is shipped."""
    packed = (files("routing") / "data" / "weights.json.z").read_bytes()
    content = json.loads(zlib.decompress(packed))
    unit = content["unit"]
    return Classifier(
        load_lexicon(),
        Weights(
            classes=tuple(content["classes"]),
            bias=tuple(value * unit for value in content["bias"]),
            features={name: [value * unit for value in row] for name, row in content["features"].items()},
        ),
    )
