"""The collector of traces."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator

import httpx

from api.settings import GatewaySettings
from scripts.doctor.finding import Finding, Verdict
from telemetry.traces import ENDPOINTS, INSTALL


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
