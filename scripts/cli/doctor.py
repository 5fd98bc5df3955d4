"""``wanserve doctor``: looks at every part of this setup and says what to do about what is wrong."""

from __future__ import annotations

import importlib.util
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

import click
import httpx
from pydantic import ValidationError
from redis import Redis
from redis.exceptions import RedisError
from rich.console import Console

from api.settings import GatewaySettings
from jobs.connect import open_artifacts, open_store
from jobs.errors import JobsError
from jobs.settings import explain
from telemetry.traces import ENDPOINTS, INSTALL
from wan_models.catalog import CATALOG
from wan_models.models_dir import installed_models
from wan_models.options import MAGNITUDES, MEASURABLE_TASKS, PARALLEL_TASKS
from workers.gpus import present_gpus
from workers.settings import WorkerSettings

_OLDEST_REDIS = (6, 2)
_CLOCK_SECONDS = 2.0
_LEAST_DISK_BYTES = 5e9
_PROBE_KEY = "doctor/probe.txt"


class Verdict(Enum):
    """How serious a finding is, as the mark it is shown with."""

    FINE = "[green]ok  [/green]"
    ADVICE = "[yellow]note[/yellow]"
    FAULT = "[red]FAIL[/red]"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at, and what to do about it."""

    verdict: Verdict
    part: str
    message: str


Check = Callable[[GatewaySettings], Iterator[Finding]]


def check_python(_: GatewaySettings) -> Iterator[Finding]:
    """The interpreter, and which halves of the service are installed."""
    version = ".".join(map(str, sys.version_info[:3]))
    yield Finding(Verdict.FINE, "python", version)
    for half, package in (("gateway", "fastapi"), ("worker", "torch")):
        if importlib.util.find_spec(package) is None:
            message = f"the {half} is not installed here; pip install 'wanserve[{half}]' where it should run"
            yield Finding(Verdict.ADVICE, "packages", message)


def check_redis(settings: GatewaySettings) -> Iterator[Finding]:
    """Redis: there, new enough, durable, never evicting, and of our time."""
    try:
        with Redis.from_url(settings.redis_address, socket_timeout=3, socket_connect_timeout=3) as client:
            info: Any = client.info()
            policy = str(client.config_get("maxmemory-policy").get("maxmemory-policy", ""))
            seconds, micros = client.time()
    except RedisError as error:
        hint = (
            "Start it, or correct REDIS_URL"
            if settings.redis_url
            else "`wanserve up` starts the embedded one"
        )
        yield Finding(Verdict.FAULT, "redis", f"does not answer: {str(error).rstrip('.')}. {hint}.")
        return
    version = str(info["redis_version"])
    numbers = tuple(int(part) for part in version.split(".")[:2])
    old = Finding(Verdict.FAULT, "redis", f"{version} is too old; 6.2 or newer is needed")
    yield old if numbers < _OLDEST_REDIS else Finding(Verdict.FINE, "redis", version)
    if not info["aof_enabled"]:
        yield Finding(Verdict.FAULT, "redis", "would forget jobs when it restarts: set appendonly yes")
    if policy != "noeviction":
        yield Finding(Verdict.FAULT, "redis", f"may evict jobs ({policy}): set maxmemory-policy noeviction")
    ahead = seconds + micros / 1e6 - time.time()
    if abs(ahead) > _CLOCK_SECONDS:
        message = f"this clock is {abs(ahead):.0f} s off Redis's; run an NTP client, S3 refuses wrong times"
        yield Finding(Verdict.FAULT, "clock", message)


def check_artifacts(settings: GatewaySettings) -> Iterator[Finding]:
    """The store of the videos: a file can be written, read back and removed."""
    try:
        artifacts = open_artifacts(settings)
        with NamedTemporaryFile("w") as file:
            file.write("wanserve doctor")
            file.flush()
            artifacts.put(_PROBE_KEY, Path(file.name))
        with artifacts.read(_PROBE_KEY) as stream:
            whole = b"".join(stream) == b"wanserve doctor"
        artifacts.delete(_PROBE_KEY)
    except (JobsError, OSError) as error:
        part = "S3_ENDPOINT, S3_BUCKET and the keys" if settings.s3_bucket else "DATA_DIR"
        yield Finding(Verdict.FAULT, "artifacts", f"{error} Look at {part}.")
        return
    where = f"bucket {settings.s3_bucket}" if settings.s3_bucket else "local directory"
    wrong = Finding(Verdict.FAULT, "artifacts", f"the {where} gave back other bytes than it was given")
    yield Finding(Verdict.FINE, "artifacts", where) if whole else wrong


def check_disk(settings: GatewaySettings) -> Iterator[Finding]:
    """Room for what is embedded, and for scratch files."""
    place = next(path for path in (settings.data_dir, *settings.data_dir.parents) if path.exists())
    free = shutil.disk_usage(place).free
    short = Finding(Verdict.FAULT, "disk", f"only {free / 1e9:.1f} GB free at {place}; make room")
    yield (
        Finding(Verdict.FINE, "disk", f"{free / 1e9:.0f} GB free at {place}")
        if free > _LEAST_DISK_BYTES
        else short
    )


def check_gpus(_: GatewaySettings) -> Iterator[Finding]:
    """The driver sees GPUs, and torch sees the same."""
    gpus = present_gpus()
    if not gpus:
        yield Finding(Verdict.ADVICE, "gpu", "none here: workers run on the CPU, for tiny models only")
        return
    yield Finding(Verdict.FINE, "gpu", f"{len(gpus)} by the driver")
    if importlib.util.find_spec("torch"):
        # In a process of its own: CUDA would stay initialised in this one.
        code = "import torch; print(torch.cuda.device_count())"
        seen = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        if seen.stdout.strip() != str(len(gpus)):
            message = (
                f"torch sees {seen.stdout.strip() or 'none'}: its CUDA and the driver do not fit together"
            )
            yield Finding(Verdict.FAULT, "gpu", message)


def check_models(settings: GatewaySettings) -> Iterator[Finding]:
    """Which models are installed, and whether each has a worker."""
    installed = installed_models(settings.models_path)
    if not installed:
        message = (
            f"none in {settings.models_path}: python scripts/download_wan_models.py --model ti2v-5B,"
            " or `wanserve up` for tiny ones"
        )
        yield Finding(Verdict.FAULT, "models", message)
    for task, model in installed.items():
        yield Finding(Verdict.FINE, "models", f"{task}{', tiny: it paints noise' if model.tiny else ''}")
    try:
        served = {queue for worker in open_store(settings).workers() for queue in worker.queues}
    except JobsError:
        return  # said already
    for task in CATALOG:
        if task in installed and task not in served:
            yield Finding(
                Verdict.ADVICE, "workers", f"nobody serves {task}; start python -m workers --queues {task}"
            )


def check_port(settings: GatewaySettings) -> Iterator[Finding]:
    """Whether the gateway answers, or could listen."""
    url = f"http://{settings.host}:{settings.port}/health/live"
    try:
        answer = httpx.get(url, timeout=3)
    except httpx.HTTPError:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((settings.host, settings.port))
            except OSError as error:
                message = f"cannot be listened on ({error.strerror}): set another HOST or PORT"
                yield Finding(Verdict.FAULT, f"port {settings.port}", message)
                return
        yield Finding(
            Verdict.ADVICE, "gateway", f"does not run on port {settings.port}, which is free: wanserve up"
        )
        return
    if answer.is_success:
        yield Finding(Verdict.FINE, "gateway", f"answers on port {settings.port}")
    else:
        message = f"something answers {answer.status_code} there; is it another program? Set PORT"
        yield Finding(Verdict.FAULT, f"port {settings.port}", message)


def check_traces(_: GatewaySettings) -> Iterator[Finding]:
    """The collector of traces, where one is named: it answers, and there is something to send to it."""
    name = next((name for name in ENDPOINTS if os.environ.get(name)), None)
    if name is None:
        return
    if not all(importlib.util.find_spec(package) for package in ("opentelemetry", "opentelemetry.sdk")):
        yield Finding(Verdict.FAULT, "traces", f"{name} is set, but nothing can send them: {INSTALL}")
        return
    base = os.environ[name].rstrip("/")
    url = base if name == ENDPOINTS[0] else f"{base}/v1/traces"
    try:  # no spans at all are a request as well
        answer = httpx.post(url, headers={"content-type": "application/x-protobuf"}, timeout=3)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        message = (
            f"the collector does not answer ({error}). {name} names its port for OTLP over HTTP, often 4318"
        )
        yield Finding(Verdict.FAULT, "traces", message)
        return
    yield Finding(Verdict.FINE, "traces", f"the collector answers {answer.status_code}")


def check_voice(settings: GatewaySettings) -> Iterator[Finding]:
    """What speaks the texts of speech-to-video."""
    if settings.tts_url:
        yield Finding(Verdict.FINE, "speech", "the service of TTS_URL speaks texts, and may clone voices")
    elif importlib.util.find_spec("espeakng_loader"):
        message = "eSpeak NG speaks texts; to clone voices, set TTS_URL for the gateway and the workers"
        yield Finding(Verdict.FINE, "speech", message)
    else:
        message = (
            "eSpeak NG is not installed here; where workers run, enable_tts needs"
            " pip install espeakng-loader, or TTS_URL"
        )
        yield Finding(Verdict.ADVICE, "speech", message)


def check_acceleration(gateway: GatewaySettings) -> Iterator[Finding]:
    """Settings of workers, as far as they are those of this machine, and what they will not do."""
    try:
        settings = WorkerSettings()
    except ValidationError as error:
        yield Finding(Verdict.FAULT, "workers", explain(error))
        return
    installed = installed_models(gateway.models_path)
    if settings.context_parallel > 1:
        for task in set(installed) - set(PARALLEL_TASKS):
            message = (
                f"{task} cannot be shared among GPUs: it runs on one of each {settings.context_parallel}"
            )
            yield Finding(Verdict.ADVICE, "speed", message)
    if settings.step_cache == "magcache":
        for task in MEASURABLE_TASKS:
            if task in installed and not (installed[task].path / MAGNITUDES).is_file():
                message = (
                    f"{task} runs without magcache until it is measured:"
                    f" python -m scripts.calibrate_step_cache --model {task}"
                )
                yield Finding(Verdict.ADVICE, "speed", message)


CHECKS: tuple[Check, ...] = (
    check_python,
    check_redis,
    check_artifacts,
    check_disk,
    check_gpus,
    check_models,
    check_port,
    check_traces,
    check_voice,
    check_acceleration,
)


@click.command()
def doctor() -> None:
    """Check Redis, the store, disk, GPUs, models, ports, clock and versions, and say what to do."""
    console = Console(highlight=False, soft_wrap=True)
    try:
        settings = GatewaySettings()
    except ValidationError as error:
        raise click.ClickException(explain(error)) from error
    findings = [finding for check in CHECKS for finding in check(settings)]
    for finding in findings:
        console.print(f"{finding.verdict.value} [bold]{finding.part:<10}[/bold]", end=" ")
        console.print(finding.message, markup=False)
    faults = sum(finding.verdict is Verdict.FAULT for finding in findings)
    if faults:
        raise click.ClickException(f"{faults} of these need mending.")
    console.print("Nothing is in the way.")
