"""What is looked at in a running stack. Each check returns a sentence, or raises CheckFailedError."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from typing import Any

import httpx

from scripts.test_compose.bases import PYTHON
from scripts.test_compose.stack import FLOWER_USER, GATEWAY, ROOT, WORKER, Stack

_PROMETHEUS = "http://127.0.0.1:9090/api/v1"
_FLOWER = "http://127.0.0.1:5555"
_PUBLISHED_PYTHON_BYTES = 130e6  # what python:3.11-slim-bookworm takes; a stand-in for it may take more
_MOST_GATEWAY_BYTES = 300e6
_OURS = (GATEWAY, WORKER, "flower")
_WITH_HEALTH_CHECK = (*_OURS, "redis")
_WAIT_SECONDS = 180
_PROMPT = "a lighthouse that nobody may read of"
_JOB = {"prompt": _PROMPT, "size": "128*64", "frame_num": 17, "sample_steps": 100, "base_seed": 7}


class CheckFailedError(Exception):
    """The stack does not do what it should; the message says what."""


class Checks:
    """The checks, in an order in which each finds what it needs.

    Args:
        stack: the running project.
        client: speaks to its gateway.
    """

    def __init__(self, stack: Stack, client: httpx.Client) -> None:
        self._stack = stack
        self._client = client
        self._job_id = ""

    def size(self) -> str:
        """The gateway's image is small: what its Dockerfile adds to its base."""
        image, base = self._stack.image("wanserve-gateway"), self._stack.image(PYTHON)
        layers = base["RootFS"]["Layers"]
        _hold(image["RootFS"]["Layers"][: len(layers)] == layers, f"the gateway stands on an older {PYTHON}")
        ours = image["Size"] - base["Size"]
        _hold(ours + _PUBLISHED_PYTHON_BYTES < _MOST_GATEWAY_BYTES, f"the gateway adds {ours / 1e6:.0f} MB")
        return f"{ours / 1e6:.0f} MB beside the {_PUBLISHED_PYTHON_BYTES / 1e6:.0f} of its base"

    def health(self) -> str:
        """Every container that has a health check passes it."""
        _until("a worker offers a model", lambda: any(map(_is_served, self._models())))
        for service in _WITH_HEALTH_CHECK:
            _until(f"{service} is well", partial(self._is_well, service))
        return f"{', '.join(_WITH_HEALTH_CHECK)} are well"

    def confinement(self) -> str:
        """Our containers run without root and capabilities, on a root that cannot be written to."""
        for service in _OURS:
            told = self._stack.container(service)
            _hold(told["HostConfig"]["ReadonlyRootfs"], f"{service} may write to its root")
            _hold(self._stack.execute(service, "touch", "/opt/x").returncode != 0, f"{service} wrote to /opt")
            user = self._stack.execute(service, "id", "-u").stdout.strip()
            _hold(user not in ("", "0"), f"{service} runs as user {user!r}")
            rights = self._stack.execute(service, "grep", "CapBnd", "/proc/self/status").stdout.split()
            _hold(rights == ["CapBnd:", "0" * 16], f"{service} may get capabilities: {rights}")
        return f"{', '.join(_OURS)} have no root and write to volumes alone"

    def killed_worker(self) -> str:
        """A job outlives the container that ran it."""
        self._job_id = self._submit(size="256*128", frame_num=81)
        _until("it runs", lambda: self._job()["step"] >= 1)
        self._stack.kill(WORKER)
        self._stack.start(WORKER)
        job = self._completed()
        _hold(job["attempt"] > 1, "the job completed without having been taken up again")
        video = self._client.get(job["video_path"], follow_redirects=True).raise_for_status().content
        _hold(b"ftyp" in video[:16], "what is served is no MP4")
        return f"completed at attempt {job['attempt']}, {len(video)} bytes"

    def drained_worker(self) -> str:
        """SIGTERM to a worker gives its job back at no cost, and another goes on with it."""
        self._job_id = self._submit(size="832*480", frame_num=17, sample_steps=100)  # longer than it drains
        _until("it runs", lambda: self._job()["step"] >= 2)  # noqa: PLR2004 - a step to come back to
        self._stack.compose("stop", WORKER)
        code = self._stack.container(WORKER)["State"]["ExitCode"]
        _hold(code == 0, f"the worker ended with {code}")
        status = self._job()["status"]
        _hold(status == "queued", f"the job is {status}")
        self._stack.start(WORKER)
        job = self._completed()
        errors = [attempt["error"] for attempt in job["attempts"] if attempt["error"]]
        _hold(not errors, f"the drain cost an attempt: {errors}")
        return f"completed at attempt {job['attempt']}, from step {job['metrics']['resumed_step']} on"

    def stopped_gateway(self) -> str:
        """SIGTERM to the gateway ends it well, and it knows its jobs when it is back."""
        self._stack.compose("stop", GATEWAY)
        code = self._stack.container(GATEWAY)["State"]["ExitCode"]
        _hold(code == 0, f"the gateway ended with {code}")
        self._stack.start(GATEWAY)
        _until("the gateway answers", self._answers)
        return f"ended with 0; job {self._job_id} is {self._job()['status']}"

    def prometheus(self) -> str:
        """Prometheus has its targets and rules."""
        _until("Prometheus scrapes gateway and worker", lambda: _targets().count("up") > 1)
        _hold(set(_targets()) == {"up"}, f"targets are {_targets()}")
        rules = [rule for group in _told("rules")["groups"] for rule in group["rules"]]
        _hold(bool(rules), "Prometheus has no rules")
        ill = [rule["name"] for rule in rules if rule["health"] != "ok"]
        _hold(not ill, f"rules cannot be evaluated: {ill}")
        return f"{len(_targets())} targets up, {len(rules)} alerts evaluated"

    def dashboard(self) -> str:
        """Every panel of the dashboard but those of GPUs has numbers."""
        self._job_id = self._submit(sample_steps=4)  # between two scrapes, so that rates are seen
        self._completed()
        empty = []
        for title, query in _queries():
            _until(f"{title} can be drawn", lambda query=query: _samples(query) or _is_of_gpus(query))  # type: ignore[misc]
            samples = _samples(query)
            print(f"  {title}: {', '.join(samples) or 'nothing'}", flush=True)
            empty += [title] if not samples else []
        return f"every panel has numbers but {', '.join(empty)}"

    def flower(self) -> str:
        """Flower asks for a password, shows workers and jobs, and no prompt."""
        _hold(httpx.get(f"{_FLOWER}/workers").status_code == httpx.codes.UNAUTHORIZED, "Flower asks nobody")
        with httpx.Client(base_url=_FLOWER, auth=FLOWER_USER) as flower:
            workers = flower.get("/workers", params={"json": "1"}).raise_for_status().json()["data"]
            _hold(any(one["status"] for one in workers), f"Flower sees no worker: {workers}")
            tasks = flower.get("/api/tasks").raise_for_status()
            _hold(self._job_id in tasks.json(), f"Flower knows nothing of {self._job_id}")
            _hold(_PROMPT not in tasks.text, "Flower shows prompts")
            refused = flower.post(f"/api/worker/shutdown/{workers[0]['hostname']}")
            _hold(refused.status_code == httpx.codes.FORBIDDEN, f"Flower answers {refused.status_code}")
        return f"{len(workers)} worker names, {len(tasks.json())} tasks, read-only"

    def _is_well(self, service: str) -> bool:
        """Whether its health check passes when it is run now; podman runs none by itself without systemd."""
        _, *command = self._stack.container(service)["Config"]["Healthcheck"]["Test"]
        return self._stack.execute(service, *command).returncode == 0

    def _models(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self._client.get("/models").raise_for_status().json()["models"]
        return found

    def _submit(self, **changes: Any) -> str:
        answer = self._client.post("/generate/text-to-video", json=_JOB | changes).raise_for_status()
        return str(answer.json()["id"])

    def _job(self) -> dict[str, Any]:
        job: dict[str, Any] = self._client.get(f"/jobs/{self._job_id}").raise_for_status().json()
        _hold(job["status"] != "failed", f"The job failed: {job['error']}")
        return job

    def _completed(self) -> dict[str, Any]:
        _until("it completes", lambda: self._job()["status"] == "completed", lambda: self._job()["step"])
        return self._job()

    def _answers(self) -> bool:
        return self._client.get("/health").is_success


def _is_served(model: dict[str, Any]) -> bool:
    return bool(model["available"] and model["workers"])


def _told(what: str, **query: str) -> Any:
    return httpx.get(f"{_PROMETHEUS}/{what}", params=query).raise_for_status().json()["data"]


def _targets() -> list[str]:
    return [str(target["health"]) for target in _told("targets")["activeTargets"]]


def _queries() -> Iterator[tuple[str, str]]:
    """Every query of the dashboard with its panel's name, over minutes in place of Grafana's interval."""
    board = json.loads((ROOT / "deploy/monitoring/dashboard.json").read_text(encoding="utf-8"))
    for panel in board["panels"]:
        for target in panel["targets"]:
            yield panel["title"], target["expr"].replace("$__rate_interval", "5m")


def _samples(query: str) -> list[str]:
    """What Prometheus answers, as ``label/label=value``, without what is no number."""
    found = _told("query", query=query)["result"]
    named = [("/".join(one["metric"].values()) or "all", float(one["value"][1])) for one in found]
    return [f"{name}={value:.4g}" for name, value in named if value == value]  # noqa: PLR0124 - no NaN


def _is_of_gpus(query: str) -> bool:
    return "wanserve_gpu_" in query


def _hold(true: bool, otherwise: str) -> None:
    if not true:
        raise CheckFailedError(otherwise)


def _until(what: str, true: Callable[[], object], life: Callable[[], object] = lambda: None) -> None:
    """Wait until it is so, for as long as there is a new sign of life now and then: machines may be slow."""
    print(f"  waiting until {what} …", flush=True)
    seen, give_up_at = None, time.monotonic() + _WAIT_SECONDS
    while not _now(true):
        with suppress(httpx.HTTPError):
            if (sign := life()) != seen:
                seen, give_up_at = sign, time.monotonic() + _WAIT_SECONDS
        _hold(time.monotonic() < give_up_at, f"for {_WAIT_SECONDS} s it has not been so that {what}")
        time.sleep(0.5)


def _now(true: Callable[[], object]) -> bool:
    """Whether it is so; a service that does not answer yet is a no."""
    try:
        return bool(true())
    except httpx.HTTPError:
        return False
