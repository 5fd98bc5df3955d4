"""Absolute addresses of what this gateway serves."""

from __future__ import annotations

from starlette.requests import HTTPConnection

from api.parts import parts_of


class Links:
    """Makes links that work for the client of a request; they begin with the public URL, if one is set."""

    def __init__(self, connection: HTTPConnection) -> None:
        self._connection = connection

    def absolute(self, path: str) -> str:
        """The full URL of a path that begins with a slash."""
        return f"{parts_of(self._connection).public_url or self._base()}{path}"

    def _base(self) -> str:
        base = self._connection.base_url
        http = {"ws": "http", "wss": "https"}.get(base.scheme, base.scheme)  # a WebSocket names its own
        return str(base.replace(scheme=http)).rstrip("/")
