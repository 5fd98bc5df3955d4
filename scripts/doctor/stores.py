"""Where records, videos and temporary files are kept."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

from redis import Redis
from redis.exceptions import AuthenticationError, RedisError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from api.settings import GatewaySettings
from jobs.connect import open_artifacts, open_disks
from jobs.embedded import EmbeddedRedis
from jobs.errors import JobsError
from scripts.doctor.finding import Finding, Verdict
from scripts.doctor.folders import why_unwritable

_OLDEST_REDIS = (7, 0)
_CLOCK_SECONDS = 2.0
_AMPLE_DISK_BYTES = 5e9
_PROBE_KEY = "doctor/probe.txt"


def has_nothing(settings: GatewaySettings) -> bool:
    """Whether there is nothing to look at in DATA_DIR: it is yet to be made, or cannot be used."""
    return not settings.data_dir.exists() or why_unwritable(settings.data_dir) is not None


def check_data_dir(settings: GatewaySettings) -> Iterator[Finding]:
    """Where everything embedded is looked for."""
    embeds = settings.redis_url is None or settings.s3_bucket is None
    if embeds and (why := why_unwritable(settings.data_dir)):
        message = f"nothing can be kept in {settings.data_dir} ({why}): set another DATA_DIR"
        yield Finding(Verdict.FAULT, "data", message)
    elif settings.data_dir.exists():
        yield Finding(Verdict.FINE, "data", str(settings.data_dir))
    elif embeds:
        message = (
            f"no service was started from here: there is no {settings.data_dir}. `wanserve up` starts one;"
            " to look at one that was started elsewhere, set DATA_DIR to where it keeps its data"
        )
        yield Finding(Verdict.ADVICE, "data", message)


def check_redis(settings: GatewaySettings) -> Iterator[Finding]:
    """Redis: there, new enough, durable, never evicting, and of our time."""
    if settings.redis_url is None and has_nothing(settings):
        return  # said already
    try:
        with Redis.from_url(settings.redis_address, socket_timeout=3, socket_connect_timeout=3) as client:
            info: Any = client.info()
            policy = _eviction_policy(client)
            seconds, micros = client.time()
    except RedisError as error:
        yield Finding(Verdict.FAULT, "redis", _refusal(settings, error))
        return
    version = str(info["redis_version"])
    numbers = tuple(int(part) for part in version.split(".")[:2])
    old = Finding(Verdict.FAULT, "redis", f"{version} is too old; 7 or newer is needed")
    yield old if numbers < _OLDEST_REDIS else Finding(Verdict.FINE, "redis", version)
    if not info["aof_enabled"]:
        yield Finding(Verdict.FAULT, "redis", "would forget jobs when it restarts: set appendonly yes")
    if policy is None:
        message = "does not tell its maxmemory-policy; make sure that it is noeviction"
        yield Finding(Verdict.ADVICE, "redis", message)
    elif policy != "noeviction":
        yield Finding(Verdict.FAULT, "redis", f"may evict jobs ({policy}): set maxmemory-policy noeviction")
    ahead = seconds + micros / 1e6 - time.time()
    if abs(ahead) > _CLOCK_SECONDS:
        message = f"this clock is {abs(ahead):.0f} s off Redis's; run an NTP client, S3 refuses wrong times"
        yield Finding(Verdict.FAULT, "clock", message)


def _refusal(settings: GatewaySettings, error: RedisError) -> str:
    if isinstance(error, AuthenticationError) or "AUTH" in str(error):
        return "refuses the password of REDIS_URL, or wants one: redis://:password@host:6379/0"
    embedded = f"`wanserve up` starts the embedded one of {settings.data_dir}"
    if settings.redis_url is None and isinstance(error, RedisTimeoutError):
        return EmbeddedRedis(settings.redis_directory).silence
    hint = "Start it, or correct REDIS_URL" if settings.redis_url else embedded
    return f"does not answer: {str(error).rstrip('.')}. {hint}."


def _eviction_policy(client: Redis) -> str | None:
    """What goes when the memory is full, or None where a managed Redis keeps that to itself."""
    try:
        return str(client.config_get("maxmemory-policy")["maxmemory-policy"])
    except (ResponseError, KeyError):
        return None


def check_artifacts(settings: GatewaySettings) -> Iterator[Finding]:
    """The store of the videos: a file can be written, read back and removed."""
    if settings.s3_bucket is None and has_nothing(settings):
        return  # said already
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
        yield Finding(Verdict.FAULT, "artifacts", str(error))
        return
    where = f"bucket {settings.s3_bucket}" if settings.s3_bucket else "local directory"
    wrong = Finding(Verdict.FAULT, "artifacts", f"the {where} gave back other bytes than it was given")
    yield Finding(Verdict.FINE, "artifacts", where) if whole else wrong


def check_disks(settings: GatewaySettings) -> Iterator[Finding]:
    """Room where files are written: more than what is to stay free, which workers and gateway wait for."""
    disks = open_disks(settings)
    for name, free in disks.free().items():
        if name == "data" and why_unwritable(settings.data_dir):
            continue  # said already
        room = f"{free / 1e9:.1f} GB free at {disks.folders[name]}"
        if free < disks.reserve:
            message = f"only {room}: no work is taken on. Make room, or lower DISK_RESERVE_GB"
            yield Finding(Verdict.FAULT, "disk", message)
        elif free < disks.reserve + _AMPLE_DISK_BYTES:
            message = f"{room}; below DISK_RESERVE_GB ({settings.disk_reserve_gb:g}) no work is taken on"
            yield Finding(Verdict.ADVICE, "disk", message)
        else:
            yield Finding(Verdict.FINE, "disk", room)
