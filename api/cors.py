"""Pages of other sites that may call from browsers (the Fetch standard's CORS protocol)."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp

_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
_OPENAI_CLIENT = (  # what OpenAI's SDK sends from browsers beside
    "X-Stainless-Arch",
    "X-Stainless-Helper-Method",
    "X-Stainless-Lang",
    "X-Stainless-OS",
    "X-Stainless-Package-Version",
    "X-Stainless-Poll-Helper",
    "X-Stainless-Retry-Count",
    "X-Stainless-Runtime",
    "X-Stainless-Runtime-Version",
    "X-Stainless-Timeout",
)
_TAKEN = (
    "Authorization",
    "Content-Type",
    "Idempotency-Key",
    "If-None-Match",
    "Last-Event-ID",
    "Prefer",
    "Range",
    "Traceparent",
    "X-Request-Id",
    *_OPENAI_CLIENT,
)
_SHOWN = (
    "Accept-Ranges",
    "Content-Disposition",
    "Content-Range",
    "ETag",
    "Location",
    "OpenAI-Poll-After-Ms",
    "Preference-Applied",
    "RateLimit",
    "RateLimit-Policy",
    "Retry-After",
    "X-Request-Id",
)
_PREFLIGHT_SECONDS = 3600


def allow_origins(app: ASGIApp, origins: Sequence[str]) -> ASGIApp:
    """The app, for the pages of these origins as well. Keys travel in a header, and cookies never count."""
    if not origins:
        return app
    return CORSMiddleware(
        app,
        allow_origins=origins,
        allow_methods=_METHODS,
        allow_headers=_TAKEN,
        expose_headers=_SHOWN,
        max_age=_PREFLIGHT_SECONDS,
    )
