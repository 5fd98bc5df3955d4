"""How long the GPU has nothing to do between two queued jobs of one worker."""

from __future__ import annotations

import time
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import torch

from scripts.bench import sample
from scripts.bench.service import serving
from scripts.bench.workspace import Workspace

_JOBS = 20
_BUSY = ("load_seconds", "denoise_seconds", "decode_seconds")
_POLL_SECONDS = 0.5


def idle_gap() -> float:
    """The median, in seconds, between the end of one job's GPU stage and the claim of the next."""
    gpus = "1" if torch.cuda.is_available() else "none"
    with (
        TemporaryDirectory(prefix="wanserve-bench-") as root,
        serving(Workspace(Path(root)), worker=True, gpus=gpus) as (address, _),
        httpx.Client(base_url=address, timeout=60) as client,
    ):
        body = sample.body("128*64", 9, 10)
        ids = [client.post("/generate/text-to-video", json=body).json()["id"] for _ in range(_JOBS)]
        jobs = [_finished(client, job_id) for job_id in ids]
    started = [datetime.fromisoformat(job["started_at"]).timestamp() for job in jobs]
    busy = [sum(job["metrics"][name] for name in _BUSY) for job in jobs]
    # The first job waits for its model, and is no rule.
    gaps: list[float] = [
        after - before - work for (before, after), work in zip(pairwise(started), busy, strict=False)
    ]
    return median(gaps[1:])


def _finished(client: httpx.Client, job_id: str) -> dict[str, Any]:
    while True:
        job: dict[str, Any] = client.get(f"/jobs/{job_id}").raise_for_status().json()
        if job["status"] == "completed":
            return job
        if job["status"] not in ("queued", "in_progress"):
            raise RuntimeError(f"A job of the benchmark ended {job['status']}: {job['error']}")
        time.sleep(_POLL_SECONDS)
