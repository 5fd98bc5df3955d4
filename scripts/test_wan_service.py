"""Check a running service from outside: ``python scripts/test_wan_service.py --test all``."""

from __future__ import annotations

import os
import sys
import time
from argparse import ArgumentParser
from collections.abc import Callable, Sequence

import httpx

_JOB_SECONDS = 3600.0
_POLL_SECONDS = 1.0


class CheckFailedError(Exception):
    """The service did not do what it should; the message says what it did."""


def check_health(client: httpx.Client, _model: str) -> str:
    """The service answers, and its stores do."""
    answer = client.get("/health")
    if not answer.is_success:
        raise CheckFailedError(f"GET /health answered {answer.status_code}: {answer.text}")
    return f"status {answer.json()['status']}, workers {answer.json()['workers']}"


def check_models(client: httpx.Client, _model: str) -> str:
    """The catalog is served; tells which models are installed."""
    models = client.get("/models").raise_for_status().json()["models"]
    return "installed: " + (", ".join(model["id"] for model in models if model["installed"]) or "none")


def check_text_to_video(client: httpx.Client, model: str) -> str:
    """A short job runs to its end and its video can be fetched."""
    body = {
        "task": model,
        "prompt": "A cat playing in a garden",
        "frame_num": 17,
        "sample_steps": 4,
        "base_seed": 42,
    }
    answer = client.post("/generate/text-to-video", json=body)
    if not answer.is_success:
        raise CheckFailedError(f"The job was refused: {answer.text}")
    job = answer.json()
    give_up_at = time.monotonic() + _JOB_SECONDS
    while job["status"] in ("queued", "in_progress"):
        if time.monotonic() > give_up_at:
            raise CheckFailedError(f"Job {job['id']} is still {job['status']}.")
        time.sleep(_POLL_SECONDS)
        job = client.get(f"/jobs/{job['id']}").raise_for_status().json()
    if job["status"] != "completed":
        raise CheckFailedError(f"Job {job['id']} ended {job['status']}: {job['error']}")
    size = len(client.get(job["video_path"]).raise_for_status().content)
    return f"{job['video_path']}, {size} bytes, {job['metrics']['denoise_seconds']:.1f} s of denoising"


CHECKS: dict[str, Callable[[httpx.Client, str], str]] = {
    "health": check_health,
    "models": check_models,
    "t2v": check_text_to_video,
}


def run(names: Sequence[str], address: str, model: str) -> int:
    """Run checks in order and print how each went; the count of those that failed."""
    failed = 0
    with httpx.Client(base_url=address, timeout=60) as client:
        for name in names:
            try:
                print(f"ok    {name}: {CHECKS[name](client, model)}")
            except (httpx.HTTPError, CheckFailedError) as error:
                failed += 1
                print(f"FAIL  {name}: {error}")
    return failed


def main(arguments: Sequence[str]) -> int:
    """Parse the command line; 0 when every check passed."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--test", choices=["all", *CHECKS], default="all")
    parser.add_argument("--model", default="t2v-A14B", help="task to generate with")
    parser.add_argument("--url", default=f"http://localhost:{os.environ.get('PORT', '8004')}")
    options = parser.parse_args(arguments)
    names = list(CHECKS) if options.test == "all" else [options.test]
    return 1 if run(names, options.url, options.model) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
