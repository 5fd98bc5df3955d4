"""Trains the classifier and writes the weights that ``routing`` ships: ``python -m scripts.router.train``."""

from __future__ import annotations

import json
import zlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from sklearn.feature_extraction import DictVectorizer
from sklearn.linear_model import LogisticRegression

from routing.classifier import Weights
from routing.features import features
from routing.lexicon import load_lexicon
from scripts.router.examples import Example, read_examples, training_set

WEIGHTS = Path(__file__).parent.parent.parent / "routing" / "data" / "weights.json.z"
UNIT = 0.01  # weights are kept as whole multiples of this
_INVERSE_REGULARISATION = 1.0
_NEGLIGIBLE = 0.05  # features with less weight than this for every class change no answer
_MIN_COUNT = 3  # features seen less often say nothing about other queries


def train(examples: Sequence[Example]) -> Weights:
    """Fit a multinomial logistic regression to the examples and their variations: half a minute."""
    rows, lexicon = training_set(examples), load_lexicon()
    found = [features(row.query, row.attachments, row.modalities, lexicon) for row in rows]
    counts = Counter(name for one in found for name in one)
    vectorizer = DictVectorizer()
    matrix = vectorizer.fit_transform(
        {name: value for name, value in one.items() if counts[name] >= _MIN_COUNT} for one in found
    )
    model = LogisticRegression(C=_INVERSE_REGULARISATION, max_iter=1000)
    model.fit(matrix, [row.intent for row in rows], sample_weight=[row.weight for row in rows])
    columns = zip(vectorizer.feature_names_, model.coef_.T, strict=True)
    return Weights(
        classes=tuple(map(str, model.classes_)),
        bias=tuple(_rounded(model.intercept_)),
        features={name: _rounded(column) for name, column in columns if max(abs(column)) >= _NEGLIGIBLE},
    )


def pack(weights: Weights) -> bytes:
    """The weights as they are shipped: JSON with whole numbers, deflated."""
    content = {
        "unit": UNIT,
        "classes": weights.classes,
        "bias": [round(value / UNIT) for value in weights.bias],
        "features": {name: [round(value / UNIT) for value in row] for name, row in weights.features.items()},
    }
    return zlib.compress(json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode(), level=9)


def _rounded(values: Sequence[float]) -> list[float]:
    return [round(value / UNIT) * UNIT for value in values]


def main() -> None:
    """Train on the training and the development split, and write the weights."""
    packed = pack(train([*read_examples("train"), *read_examples("dev")]))
    WEIGHTS.write_bytes(packed)
    print(f"{WEIGHTS.name}: {len(packed) / 1024:.0f} KiB. Measure with: python -m scripts.router.measure")


if __name__ == "__main__":
    main()
