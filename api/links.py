"""Absolute addresses of what this gateway serves."""

from __future__ import annotations

from starlette.requests import Request


class Links:
    """Makes links that work for the client of a request.

    Args:
        request: the request that is being answered.
        public_url: the address clients know, without a slash at the end; by default the one this
            request came to.
    """

    def __init__(self, request: Request, public_url: str | None = None) -> None:
        self._request = request
        self._public_url = public_url

    def absolute(self, path: str) -> str:
        """The full URL of a path that begins with a slash."""
        return f"{self._public_url or str(self._request.base_url).rstrip('/')}{path}"
