"""How well the method does on queries like those trained on: ``python -m scripts.router.cross_validate``.

Each query is classified by a model that was trained on the others. These queries were written to be
hard where earlier models failed, so that this is a lower figure than that of the test splits.
"""

from __future__ import annotations

import random

from routing.classifier import Classifier
from routing.lexicon import load_lexicon
from scripts.router.examples import Example, read_examples
from scripts.router.measure import Measured, measure, show
from scripts.router.train import train

FOLDS = 4


def main() -> None:
    """Print the same as ``measure``. Takes a few minutes."""
    examples = [*read_examples("train"), *read_examples("dev")]
    random.Random(1).shuffle(examples)  # noqa: S311 - repeatable on purpose
    answers: list[tuple[Example, str, float]] = []
    for fold in range(FOLDS):
        rest = [example for index, example in enumerate(examples) if index % FOLDS != fold]
        classifier = Classifier(load_lexicon(), train(rest))
        answers.extend(measure(examples[fold::FOLDS], classifier).answers)
    show("cross-validated", Measured(answers))


if __name__ == "__main__":
    main()
