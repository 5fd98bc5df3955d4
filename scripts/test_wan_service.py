"""Check a running service from outside: ``python scripts/test_wan_service.py --test all``."""

from __future__ import annotations

import os
import sys
import time
from argparse import ArgumentParser
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx
from rich.console import Console

from scripts import sample_inputs

_JOB_SECONDS = 3600.0
_POLL_SECONDS = 1.0
_ROW = "{:<5} {:<10} {:>8}  {}"
_console = Console(stderr=True, highlight=False, soft_wrap=True)


class CheckFailedError(Exception):
    """The service did not do what it should; the message says what it did."""


class CheckSkippedError(Exception):
    """There is nothing to check; the message says why."""


@dataclass(frozen=True, slots=True)
class VideoCheck:
    """One kind of video: its endpoint, the model to try, the least that it needs, and what is sent along."""

    endpoint: str
    model: str
    fields: Mapping[str, str] = field(default_factory=dict)
    files: Callable[[], Mapping[str, bytes]] = dict
    takes_size: bool = True


VIDEO_CHECKS: Mapping[str, VideoCheck] = {
    "t2v": VideoCheck("text-to-video", "t2v-A14B"),
    "i2v": VideoCheck("image-to-video", "i2v-A14B", files=lambda: {"image": sample_inputs.portrait()}),
    "ti2v": VideoCheck("text-image-to-video", "ti2v-5B", files=lambda: {"image": sample_inputs.portrait()}),
    "s2v": VideoCheck(
        "speech-to-video",
        "s2v-14B",
        files=lambda: {"image": sample_inputs.portrait(), "audio": sample_inputs.speech()},
    ),
    "animation": VideoCheck(
        "animation",
        "animate-14B",
        fields={"refert_num": "1"},
        files=lambda: {"src_root": sample_inputs.animation()},
        takes_size=False,
    ),
}


def check_health(client: httpx.Client) -> str:
    """The service answers, and its stores do."""
    answer = client.get("/health")
    if not answer.is_success:
        raise CheckFailedError(f"GET /health answered {answer.status_code}: {_detail(answer)}")
    told = answer.json()
    serving = ", ".join(f"{queue} {count}" for queue, count in told["workers"].items() if count)
    return f"status {told['status']}, version {told['version']}, workers: {serving or 'none'}"


def check_models(client: httpx.Client) -> str:
    """The catalog is served; tells which models are installed."""
    models = _models(client).values()
    return "installed: " + (", ".join(model["id"] for model in models if model["installed"]) or "none")


ROUTES = {
    "Generate a video of a cat playing in the garden": "wan",
    "write a script for a video about cats": "vllm",
    "transcribe this clip": "stt",
    "read this aloud: good evening": "tts",
    "what is in this picture?": "multimodal",
}


def check_route(client: httpx.Client) -> str:
    """Queries in plain words go to the service that they are for."""
    for query, service in ROUTES.items():
        answer = client.post("/api/v1/route", json={"query": query})
        if answer.status_code == httpx.codes.SERVICE_UNAVAILABLE and service == "wan":
            raise CheckSkippedError(answer.json()["detail"])
        found = answer.raise_for_status().json()
        if found["service"] != service:
            raise CheckFailedError(f"{query!r} went to {found['service']}, not to {service}.")
    return f"{len(ROUTES)} queries went where they should"


def check_video(client: httpx.Client, check: VideoCheck, model: str) -> str:
    """A short job runs to its end and its video can be fetched."""
    found = _models(client).get(model)
    if found and not found["available"]:
        raise CheckSkippedError(f"{model} is not installed. {found['install'] or ''}".strip())
    fields = {"task": model, "prompt": "A cat playing in a garden", "frame_num": "17"}
    fields |= {"sample_steps": "4", "base_seed": "42", **check.fields}
    if found and check.takes_size:
        fields["size"] = min(found["sizes"], key=_area)
    # Even without a file it goes as a form: what is no file has no name.
    parts: dict[str, Any] = {name: (None, value) for name, value in fields.items()}
    answer = client.post(f"/generate/{check.endpoint}", files={**parts, **check.files()})
    if not answer.is_success:
        raise CheckFailedError(f"The job was refused: {_detail(answer)}")
    job = _finished(client, answer.json())
    size = len(client.get(job["video_path"]).raise_for_status().content)
    return f"{job['video_path']}, {size} bytes, {job['metrics']['denoise_seconds']:.1f} s of denoising"


def _detail(answer: httpx.Response) -> str:
    """The service's own words, or the beginning of whatever another program says."""
    try:
        return str(answer.json()["detail"])
    except (ValueError, KeyError, TypeError):
        return answer.text.strip()[:200]


def _models(client: httpx.Client) -> dict[str, Any]:
    return {model["id"]: model for model in client.get("/models").raise_for_status().json()["models"]}


def _area(size: str) -> int:
    width, height = size.split("*")
    return int(width) * int(height)


def _finished(client: httpx.Client, job: dict[str, Any]) -> dict[str, Any]:
    """Wait for the end of a job. Standard error tells each of its stages, and a terminal how far it is."""
    give_up_at, told = time.monotonic() + _JOB_SECONDS, None
    with _console.status("") as live:
        while job["status"] in ("queued", "in_progress"):
            if time.monotonic() > give_up_at:
                raise CheckFailedError(f"Job {job['id']} is still {job['status']}.")
            if (stage := job["stage"] or job["status"]) != told:
                _console.print(f"      {job['id']} is {stage}")
            told = stage
            live.update(f"{stage}, {job['progress']} %")
            time.sleep(_POLL_SECONDS)
            job = client.get(f"/jobs/{job['id']}").raise_for_status().json()
    if job["status"] != "completed":
        raise CheckFailedError(f"Job {job['id']} ended {job['status']}: {job['error']}")
    return job


def checks(model: str | None = None) -> dict[str, Callable[[httpx.Client], str]]:
    """Every check by name; ``model`` makes the videos, in place of the model that each kind has by itself."""

    def video(check: VideoCheck) -> Callable[[httpx.Client], str]:
        return lambda client: check_video(client, check, model or check.model)

    videos = {name: video(check) for name, check in VIDEO_CHECKS.items()}
    return {"health": check_health, "models": check_models, "route": check_route, **videos}


def run(
    named: Mapping[str, Callable[[httpx.Client], str]], address: str, *, skip: bool, key: str | None = None
) -> int:
    """Run checks in order and print a row for each; the count of those that failed.

    What cannot be checked counts as failed, unless ``skip`` is set. ``key`` is an API key.
    """
    failed = 0
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    with httpx.Client(base_url=address, timeout=60, headers=headers) as client:
        print(_ROW.format("", "test", "time", f"what {client.base_url} did"), flush=True)
        for name, check in named.items():
            start = time.monotonic()
            verdict, said = _outcome(check, client)
            if verdict == "skip" and not skip:
                verdict = "FAIL"
            failed += verdict == "FAIL"
            print(_ROW.format(verdict, name, f"{time.monotonic() - start:.1f} s", said), flush=True)
    return failed


def _outcome(check: Callable[[httpx.Client], str], client: httpx.Client) -> tuple[str, str]:
    """How a check went: ``ok``, ``skip`` or ``FAIL``, and why."""
    try:
        return "ok", check(client)
    except CheckSkippedError as why:
        return "skip", str(why)
    except CheckFailedError as error:
        return "FAIL", str(error)
    except httpx.HTTPError as error:
        return "FAIL", str(error).partition("\n")[0]
    except (ValueError, KeyError, TypeError):
        return "FAIL", "That is no answer of wanserve; is it another program's address?"


def main(arguments: Sequence[str]) -> int:
    """Parse the command line; 0 when every check passed. ``all`` skips models that are not installed."""
    parser = ArgumentParser(
        description=__doc__, epilog="WANSERVE_API_KEY is the key to send to a service that asks for one."
    )
    parser.add_argument("--test", choices=["all", "health", "models", "route", *VIDEO_CHECKS], default="all")
    parser.add_argument(
        "--model",
        choices=[check.model for check in VIDEO_CHECKS.values()],
        help="task to generate with, in place of the kind's own; with all, the only one",
    )
    parser.add_argument("--url", default=f"http://localhost:{os.environ.get('PORT', '8004')}")
    options = parser.parse_args(arguments)
    everything = options.test == "all"
    if everything:
        others = {kind for kind, check in VIDEO_CHECKS.items() if options.model not in (None, check.model)}
        chosen = {name: check for name, check in checks().items() if name not in others}
    else:
        chosen = {options.test: checks(options.model)[options.test]}
    key = os.environ.get("WANSERVE_API_KEY")
    return 1 if run(chosen, options.url, skip=everything, key=key) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
