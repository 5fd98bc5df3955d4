"""Absolute addresses of what this gateway serves."""

from __future__ import annotations

from starlette.requests import Request

from api.parts import parts_of


class Links:
    """Makes links that work for the client of a request; they begin with the public URL, if one is set."""

    def __init__(self, request: Request) -> None:
        self._request = request

    def absolute(self, path: str) -> str:
        """The full URL of a path that begins with a slash."""
        base = parts_of(self._request).public_url or str(self._request.base_url).rstrip("/")
        return f"{base}{path}"
