"""The gateway beside a plain app on the same Redis: submitting, and asking for a status."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from statistics import median
from typing import Any

import httpx

from jobs.store_redis import connect
from scripts.bench import sample
from scripts.bench.client import Rate, apply_load
from scripts.bench.report import Figure, percentile
from scripts.bench.service import serving
from scripts.bench.workspace import Workspace, free_port, running, wait_until_ready

CONNECTIONS = 8
ROUNDS = 5
ROUND_SECONDS = 3.0
GOAL_RATIO = 1.0
PUSHES = 5000
MESSAGE_BYTES = 2048
SUBMIT = "/generate/text-to-video"

Call = Callable[[str], Rate]


def measure_submit(workspace: Workspace) -> Iterator[Figure]:
    """Submits a second: validated, recorded, indexed and announced here; ``task.delay()`` there."""
    with both(workspace) as (ours, plain, redis_url):
        pairs = _take_turns(_calls("POST", SUBMIT, sample.body(), CONNECTIONS), ours, plain)
        alone = _calls("POST", SUBMIT, sample.body(), 1)(ours).p50
        floor = _push_seconds(redis_url)
    yield _rates("submit", "plain app", pairs, GOAL_RATIO)
    yield from latencies("submit", "under that load", "plain app", pairs)
    yield Figure(
        what="submit, p50 on one connection",
        measured=milliseconds(alone),
        against=f"bare LPUSH of {MESSAGE_BYTES // 1024} KB {milliseconds(floor)}",
        ratio=alone / floor,
    )


def measure_status(workspace: Workspace) -> Iterator[Figure]:
    """Status polls a second of a queued job, beside an endpoint that returns such a dictionary."""
    with both(workspace) as (ours, plain, _):
        job_id = httpx.post(ours + SUBMIT, json=sample.body()).raise_for_status().json()["id"]
        pairs = _take_turns(_calls("GET", f"/jobs/{job_id}", None, CONNECTIONS), ours, plain)
    yield _rates("status", "bare endpoint", pairs, None)
    yield from latencies("status", "under that load", "bare endpoint", pairs)


@contextmanager
def both(workspace: Workspace, **settings: str) -> Iterator[tuple[str, str, str]]:
    """Run both apps, ours with these settings; yields the addresses: ours, the other, and their Redis."""
    with serving(workspace, settings=settings) as (ours, redis_url):
        port, log = free_port(), workspace.directory() / "log"
        plain = f"http://127.0.0.1:{port}"
        environment = {"PORT": str(port), "REDIS_URL": redis_url}
        with running("scripts.bench.plain_app", environment=environment, log=log) as process:
            wait_until_ready(f"{plain}/jobs/any", process, log)
            yield ours, plain, redis_url


def _calls(method: str, path: str, body: Any, connections: int) -> Call:
    return lambda url: apply_load(url, method, path, body, seconds=ROUND_SECONDS, connections=connections)


def _take_turns(call: Call, ours: str, plain: str) -> list[tuple[Rate, Rate]]:
    """Rounds of both, one after the other, after one of each that does not count."""
    return [(call(ours), call(plain)) for _ in range(ROUNDS + 1)][1:]


def _rates(verb: str, beside: str, pairs: list[tuple[Rate, Rate]], goal: float | None) -> Figure:
    ours, plain = (median(rate.per_second for rate in side) for side in zip(*pairs, strict=True))
    ratio = median(one.per_second / other.per_second for one, other in pairs)
    busiest = max(rate.busy for pair in pairs for rate in pair)
    return Figure(
        what=f"{verb}, requests a second on {CONNECTIONS} connections (client {busiest:.0%} of a core)",
        measured=f"{ours:,.0f}/s",
        against=f"{beside} {plain:,.0f}/s",
        ratio=ratio,
        goal="" if goal is None else f"at least {goal:.1f} x",
        met=None if goal is None else ratio >= goal,
    )


def latencies(verb: str, when: str, beside: str, pairs: list[tuple[Rate, Rate]]) -> Iterator[Figure]:
    """The median and the 99th percentile of what a request took, as the middle of all rounds."""
    for name in ("p50", "p99"):
        ours, plain = (median(getattr(rate, name) for rate in side) for side in zip(*pairs, strict=True))
        yield Figure(
            what=f"{verb}, {name} {when}",
            measured=milliseconds(ours),
            against=f"{beside} {milliseconds(plain)}",
            ratio=ours / plain,
        )


def _push_seconds(redis_url: str) -> float:
    """Median time of the least that any queue on Redis has to do."""
    message, took = b"x" * MESSAGE_BYTES, []
    with connect(redis_url) as redis:
        for _ in range(PUSHES):
            begin = time.perf_counter()
            redis.lpush("bench", message)
            took.append(time.perf_counter() - begin)
    return percentile(took, 50)


def milliseconds(seconds: float) -> str:
    """Seconds, as the table tells them."""
    return f"{seconds * 1000:.2f} ms"
