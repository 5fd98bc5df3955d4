"""How well and how fast queries are routed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from statistics import median

from routing.classifier import load_classifier
from routing.query import RouteQuery
from routing.router import Router
from routing.selection import ModelLoad
from scripts.bench.report import Figure, percentile
from scripts.bench.workspace import Workspace
from scripts.router.examples import Example, read_examples
from scripts.router.measure import measure
from wan_models.catalog import CATALOG

GOAL_ACCURACY = 0.95
GOAL_P99 = 0.010  # seconds
ROUNDS = 5
MOST_CONFUSIONS = 3


def measure_routing(_workspace: Workspace) -> Iterator[Figure]:
    """Queries that nothing was trained on: how many go where they should, and how long it takes."""
    classifier = load_classifier()
    for split in ("test", "fresh"):
        measured = measure(read_examples(split), classifier)
        wrong = [(pair, count) for pair, count in measured.confusion.items() if pair[0] != pair[1]]
        wrong.sort(key=lambda one: -one[1])
        yield Figure(
            what=f"routing, {len(measured.answers)} queries of the split {split}",
            measured=f"{measured.accuracy:.1%} right",
            against=", ".join(f"{a} for {b} {count} x" for (b, a), count in wrong[:MOST_CONFUSIONS]),
            goal=f"at least {GOAL_ACCURACY:.0%}",
            met=measured.accuracy >= GOAL_ACCURACY,
        )
    yield _times(Router(classifier), [*read_examples("test"), *read_examples("fresh")])


def _times(router: Router, examples: list[Example]) -> Figure:
    rounds = [[_seconds(router, example) for example in examples] for _ in range(ROUNDS)]
    took = [median(times) for times in zip(*rounds, strict=True)]  # of each query
    p99 = percentile(took, 99)
    return Figure(
        what="routing, a query to its parameters, p50 and p99",
        measured=f"{percentile(took, 50) * 1000:.2f} ms, {p99 * 1000:.2f} ms",
        goal=f"p99 at most {GOAL_P99 * 1000:.0f} ms",
        met=p99 <= GOAL_P99,
    )


def _seconds(router: Router, example: Example) -> float:
    attachments = [{"kind": kind} for kind in example.attachments]
    query = RouteQuery.model_validate({"query": example.query, "attachments": attachments})
    load = {task: ModelLoad(installed=True, workers=1) for task in CATALOG}
    begin = time.perf_counter()
    router.route(query, router.classify(query), load, {})
    return time.perf_counter() - begin
