"""Clients that never give up: they submit through any gateway until one of them has answered."""

from __future__ import annotations

import random
import time
from threading import Event, Lock
from uuid import uuid4

import httpx

_BACKLOG = 12  # jobs kept waiting or running, so that the monkey always finds work
_RETRY_SECONDS = 0.2
_CANCELLED_SHARE = 0.03


class Clients:
    """Submits small jobs, cancels a few, and remembers every job it was promised."""

    def __init__(self, urls: list[str], chance: random.Random) -> None:
        self._urls = urls
        self._chance = chance
        self._http = httpx.Client(timeout=10)
        self._lock = Lock()
        self.accepted: list[str] = []

    def run(self, stopped: Event) -> None:
        """Keep a backlog of jobs until told to stop."""
        open_jobs: list[str] = []
        while not stopped.is_set():
            open_jobs = [job_id for job_id in open_jobs if not self.is_final(job_id)]
            while len(open_jobs) < _BACKLOG and not stopped.is_set():
                open_jobs.append(self.submit())
                if self._chance.random() < _CANCELLED_SHARE:
                    self._request("POST", f"/jobs/{self._chance.choice(open_jobs)}/cancel")
            stopped.wait(_RETRY_SECONDS)

    def submit(self) -> str:
        """Submit one job, with one idempotency key for all tries, until a gateway has accepted it."""
        job = {
            "prompt": "a sailing boat in a storm",
            "size": "64*64",
            "frame_num": 5,
            "sample_steps": self._chance.choice([5, 10, 20, 50]),
            "base_seed": self._chance.randrange(1000),
        }
        key = uuid4().hex
        while True:
            answer = self._request(
                "POST", "/generate/text-to-video", json=job, headers={"Idempotency-Key": key}
            )
            if answer is not None and answer.status_code in {200, 202}:
                job_id: str = answer.json()["id"]
                self.accepted.append(job_id)
                return job_id
            time.sleep(_RETRY_SECONDS)

    def is_final(self, job_id: str) -> bool:
        """Whether the job has ended; a gateway that does not answer means no."""
        answer = self._request("GET", f"/jobs/{job_id}")
        if answer is None or answer.status_code >= 500:  # noqa: PLR2004 - a server's fault
            return False
        # A job that was accepted and is unknown now is lost; the account at the end will say so.
        return answer.status_code == 404 or answer.json()["finished_at"] is not None  # noqa: PLR2004

    def wait(self, seconds: float) -> None:
        """Wait until every accepted job has ended, or the time is over."""
        give_up_at = time.monotonic() + seconds
        left = list(self.accepted)
        while left and time.monotonic() < give_up_at:
            left = [job_id for job_id in left if not self.is_final(job_id)]
            time.sleep(_RETRY_SECONDS)

    def _request(self, method: str, path: str, **arguments: object) -> httpx.Response | None:
        try:
            return self._http.request(method, self._chance.choice(self._urls) + path, **arguments)  # type: ignore[arg-type] # passed on
        except httpx.HTTPError:
            return None
