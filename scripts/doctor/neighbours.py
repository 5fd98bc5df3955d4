"""Services of others that this one asks: whether they answer."""

from __future__ import annotations

from collections.abc import Iterator

import httpx

from api.settings import GatewaySettings
from scripts.doctor.finding import Finding, Verdict

_SECONDS = 3.0


def check_neighbours(settings: GatewaySettings) -> Iterator[Finding]:
    """Every server of the services that queries may go to, and the one that speaks portraits' texts."""
    named = [
        (f"{service.upper()}_URLS", url) for service, one in settings.neighbours.items() for url in one.urls
    ]
    if settings.tts_url:
        named.append(("TTS_URL", settings.tts_url))
    for variable, url in named:
        if why := _silence(url):
            message = f"{url} does not answer ({why}): start it, or correct {variable}"
            yield Finding(Verdict.FAULT, "neighbours", message)
        else:
            yield Finding(Verdict.FINE, "neighbours", f"{url} of {variable} answers")


def _silence(url: str) -> str | None:
    """Why a server does not answer; None if it does, whatever it says: not every one lists its models."""
    try:
        httpx.get(f"{url}/v1/models", timeout=_SECONDS)
    except (httpx.TransportError, httpx.InvalidURL) as error:
        return str(error) or type(error).__name__
    return None
