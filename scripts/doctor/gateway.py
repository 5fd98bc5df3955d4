"""The gateway: whether it answers, or could start."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import httpx

from api.exposure import ExposedError, check_exposure
from api.settings import GatewaySettings
from api.version import VERSION
from jobs.connect import open_keys
from scripts.doctor.finding import Finding, Verdict


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
    ports = {
        "PORT": (settings.host, settings.port),
        "METRICS_PORT": (settings.metrics_host, settings.metrics_port),
    }
    faults = []
    for variable, (host, port) in ports.items():
        if port and (fault := _bind(host, port)):
            message = f"cannot be listened on at {host} ({fault}): set another {variable}"
            faults.append(Finding(Verdict.FAULT, f"port {port}", message))
    try:
        check_exposure(settings, open_keys(settings))
    except ExposedError as error:
        faults.append(Finding(Verdict.FAULT, "gateway", str(error)))
    message = f"does not run on port {settings.port}, which is free: wanserve up"
    yield from faults or [Finding(Verdict.ADVICE, "gateway", message)]


def _bind(host: str, port: int) -> str | None:
    """Why an address cannot be listened on, or None."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            return error.strerror
    return None


def _reachable(host: str) -> str:
    """Where to find a gateway of this machine that listens there."""
    if host in ("0.0.0.0", "::"):  # noqa: S104 - compared, not bound
        return "127.0.0.1"
    return f"[{host}]" if ":" in host else host
