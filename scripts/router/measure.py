"""How well the classifier does on queries it was not trained on: ``python -m scripts.router.measure``."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from routing.classifier import Classifier, load_classifier
from routing.intents import INTENTS
from scripts.router.examples import Example, read_examples


@dataclass(frozen=True, slots=True)
class Measured:
    """Each example with the intent that the classifier gave it and its confidence."""

    answers: Sequence[tuple[Example, str, float]]

    @property
    def accuracy(self) -> float:
        """Share of the examples whose intent was told, 0 to 1."""
        return sum(example.intent == got for example, got, _ in self.answers) / len(self.answers)

    @property
    def service_accuracy(self) -> float:
        """Share of the examples whose service was told."""
        right = (INTENTS[example.intent].service is INTENTS[got].service for example, got, _ in self.answers)
        return sum(right) / len(self.answers)

    @property
    def confusion(self) -> Counter[tuple[str, str]]:
        """How often each intent was taken for which."""
        return Counter((example.intent, got) for example, got, _ in self.answers)

    def of_language(self, language: str) -> Measured:
        """The part of it in one language."""
        return Measured([answer for answer in self.answers if answer[0].language == language])


def measure(examples: Sequence[Example], classifier: Classifier) -> Measured:
    """Classify every example."""
    return Measured([(example, *_answer(example, classifier)) for example in examples])


def confusion_table(measured: Measured) -> Iterator[str]:
    """The lines of a Markdown table: a row an intent, a column what it was taken for."""
    names, counts = list(INTENTS), measured.confusion
    yield f"| | {' | '.join(names)} |"
    yield "|---" * (len(names) + 1) + "|"
    for name in names:
        yield f"| **{name}** | {' | '.join(str(counts[name, other] or '') for other in names)} |"


def language_table(measured: Measured) -> Iterator[str]:
    """The lines of a Markdown table: how many queries there are in a language, and how many were told."""
    yield "| language | queries | right |"
    yield "|---|---|---|"
    for language in dict.fromkeys(example.language for example, _, _ in measured.answers):
        part = measured.of_language(language)
        yield f"| {language} | {len(part.answers)} | {part.accuracy:.1%} |"


def _answer(example: Example, classifier: Classifier) -> tuple[str, float]:
    found = classifier.classify(example.query, example.attachments)
    return found.intent, found.confidence


def show(name: str, measured: Measured) -> None:
    """Print accuracy, confusion and every mistake."""
    print(f"\n{name}: {measured.accuracy:.1%} of {len(measured.answers)} queries,", end=" ")
    print(f"{measured.service_accuracy:.1%} by service\n")
    print("\n".join([*confusion_table(measured), "", *language_table(measured), ""]))
    for example, got, confidence in measured.answers:
        if got != example.intent:
            given = "+".join(example.attachments)
            print(f"{example.intent} taken for {got} ({confidence:.2f}) [{given}] {example.query}")


def main(splits: Sequence[str]) -> None:
    """Measure splits: those named, or the two that nothing was trained on."""
    classifier = load_classifier()
    for split in splits or ("test", "fresh"):
        show(split, measure(read_examples(split), classifier))


if __name__ == "__main__":
    main(sys.argv[1:])
