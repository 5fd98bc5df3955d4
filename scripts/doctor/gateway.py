"""The gateway: whether it answers, or could start."""

from __future__ import annotations

import os
from collections.abc import Iterator

import httpx
from pydantic import ValidationError

from api.exposure import ExposedError, check_exposure
from api.settings import GatewaySettings
from api.version import VERSION
from jobs.connect import open_keys
from jobs.settings import explain
from scripts.doctor.finding import Finding, Verdict
from scripts.flower import FlowerSettings
from scripts.ports import faults_of
from scripts.serve import ports


def check_gateway(settings: GatewaySettings) -> Iterator[Finding]:
    """Whether the gateway answers, is of this version, or could start."""
    part = f"port {settings.port}"
    try:
        answer = httpx.get(f"http://{_reachable(settings.host)}:{settings.port}/openapi.json", timeout=3)
        told = answer.json()["info"]
    except httpx.TransportError:
        yield from _check_start(settings)
    except (ValueError, KeyError, TypeError):
        message = f"something else answers there, with {answer.status_code}: stop it, or set PORT"
        yield Finding(Verdict.FAULT, part, message)
    else:
        if told["title"] != "wanserve":
            yield Finding(Verdict.FAULT, part, f"{told['title']} answers there: stop it, or set PORT")
        elif told["version"] != VERSION:
            message = f"runs version {told['version']}, and {VERSION} is installed here: restart it"
            yield Finding(Verdict.ADVICE, "gateway", message)
        else:
            yield Finding(Verdict.FINE, "gateway", f"answers on {part}")


def _check_start(settings: GatewaySettings) -> Iterator[Finding]:
    """What would keep a gateway that does not run from starting."""
    flower, faults = None, []
    try:
        flower = FlowerSettings() if os.environ.get("FLOWER_PORT") else None
    except ValidationError as error:
        faults.append(Finding(Verdict.FAULT, "flower", explain(error)))
    for port, why in faults_of(ports(settings, flower)):
        message = f"cannot be listened on at {port.host} for {port.use} ({why}): set another {port.setting}"
        faults.append(Finding(Verdict.FAULT, f"port {port.number}", message))
    try:
        check_exposure(settings, open_keys(settings))
    except ExposedError as error:
        faults.append(Finding(Verdict.FAULT, "gateway", str(error)))
    message = f"does not run on port {settings.port}, which is free: wanserve up"
    yield from faults or [Finding(Verdict.ADVICE, "gateway", message)]


def _reachable(host: str) -> str:
    """Where to find a gateway of this machine that listens there."""
    if host in ("0.0.0.0", "::"):  # noqa: S104 - compared, not bound
        return "127.0.0.1"
    return f"[{host}]" if ":" in host else host
