"""What the service costs beside the bare pipeline, and how soon an idle worker starts a job."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import httpx

from scripts.bench import sample
from scripts.bench.report import Figure
from scripts.bench.service import serving
from scripts.bench.workspace import Workspace
from wan_models.bodies import TextToVideo
from wan_models.catalog import CATALOG
from wan_models.pipeline import Pipeline, Run
from wan_models.registry import Registry
from wan_models.request import VideoRequest, resolve

JOBS = 20
ROUNDS = 3
GOAL_RATIO = 1.10
GOAL_START_SECONDS = 0.05
LONGEST_WAIT_SECONDS = 60  # the most that the gateway lets a client wait in one request
POLL_SECONDS = 1.0
SUBMIT = "/generate/text-to-video"


@dataclass(frozen=True, slots=True)
class Load:
    """One kind of call to the tiny model."""

    size: str
    frames: int
    steps: int

    @property
    def body(self) -> dict[str, Any]:
        """The request."""
        return sample.body(self.size, self.frames, self.steps)


SHORT, LONG = Load("64*64", 5, 2), Load("128*64", 9, 10)


def measure(workspace: Workspace) -> Iterator[Figure]:
    """Service and bare pipeline take turns, each with its model warm."""
    pipeline = Registry(workspace.models).load(sample.TASK)
    with (
        serving(workspace, worker=True) as (address, _),
        httpx.Client(base_url=address, timeout=LONGEST_WAIT_SECONDS + 10) as client,
    ):
        yield from (_overhead(client, pipeline, load) for load in (LONG, SHORT))
        yield _idle_start(client)


def _overhead(client: httpx.Client, pipeline: Pipeline, load: Load) -> Figure:
    """Wall time of a backlog, from the first submit until the last video is there, over bare calls."""
    service, bare = _served(client, load), _bare(pipeline, load)
    service(1)
    bare(1)
    pairs = [(service(JOBS), bare(JOBS)) for _ in range(ROUNDS)]
    ratio = median(ours / theirs for ours, theirs in pairs)
    ours, theirs = (median(times) for times in zip(*pairs, strict=True))
    return Figure(
        what=f"{JOBS} jobs of {load.size}, {load.frames} frames, {load.steps} steps, beside bare calls",
        measured=f"{ours:.2f} s",
        against=f"{theirs:.2f} s",
        ratio=ratio,
        goal=f"at most {GOAL_RATIO:.2f} x",
        met=ratio <= GOAL_RATIO,
    )


def _served(client: httpx.Client, load: Load) -> Callable[[int], float]:
    def run(count: int) -> float:
        begin = time.time()
        for _ in range(count - 1):
            _submit(client, load)
        return _instant(_make(client, load), "finished_at") - begin  # the queue is first in, first out

    return run


def _bare(pipeline: Pipeline, load: Load) -> Callable[[int], float]:
    from wan_models.pipelines.video import encode_mp4  # noqa: PLC0415 - brings torch

    request = _resolved(load)

    def run(count: int) -> float:
        with TemporaryDirectory() as scratch:
            begin = time.perf_counter()
            for index in range(count):
                frames = pipeline.generate(request, Run(on_step=lambda _step, _steps: None)).frames
                encode_mp4(frames, Path(scratch, f"{index}.mp4"), request.fps)
            return time.perf_counter() - begin

    return run


def _idle_start(client: httpx.Client) -> Figure:
    """From the submit to the claim, when the worker has nothing else to do."""
    waits = []
    for _ in range(JOBS):
        time.sleep(random.uniform(0.05, 0.15))  # noqa: S311 - in no step with anything that polls
        job = _make(client, SHORT)
        waits.append(_instant(job, "started_at") - _instant(job, "created_at"))
    return Figure(
        what=f"submit to start on an idle worker, median of {JOBS}",
        measured=f"{median(waits) * 1000:.0f} ms (worst {max(waits) * 1000:.0f})",
        goal=f"at most {GOAL_START_SECONDS * 1000:.0f} ms",
        met=median(waits) <= GOAL_START_SECONDS,
    )


def _resolved(load: Load) -> VideoRequest:
    return resolve(TextToVideo.model_validate(load.body), CATALOG[sample.TASK], tiny=True)


def _submit(client: httpx.Client, load: Load) -> dict[str, Any]:
    job: dict[str, Any] = client.post(SUBMIT, json=load.body).raise_for_status().json()
    return job


def _make(client: httpx.Client, load: Load) -> dict[str, Any]:
    """Submit a job and wait for its end, without polls that take time from the cores that are measured."""
    answer = client.post(SUBMIT, json=load.body, headers={"prefer": f"wait={LONGEST_WAIT_SECONDS}"})
    job: dict[str, Any] = answer.raise_for_status().json()
    while job["status"] in ("queued", "in_progress"):
        time.sleep(POLL_SECONDS)
        job = client.get(f"/jobs/{job['id']}").raise_for_status().json()
    if job["status"] != "completed":
        raise RuntimeError(f"Job {job['id']} ended {job['status']}: {job['error']}")
    return job


def _instant(job: dict[str, Any], name: str) -> float:
    """A time of a job, in Unix seconds."""
    return datetime.fromisoformat(job[name]).timestamp()
