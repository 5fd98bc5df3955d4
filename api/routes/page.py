"""The pages for people: the videos, and the description of the API."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Awaitable, Callable
from importlib.resources import files

from fastapi import APIRouter, Response

_PAGES = {"/": "index.html", "/docs": "docs.html"}


def page_router() -> APIRouter:
    """The routes of the pages. Their files are read once, when the app is made."""
    router = APIRouter()
    for path, name in _PAGES.items():
        page = files("api").joinpath("static", name).read_text(encoding="utf-8")
        router.add_api_route(path, _serving(page), include_in_schema=False)
    return router


def _serving(page: str) -> Callable[[], Awaitable[Response]]:
    headers = {"cache-control": "no-cache", "content-security-policy": content_policy(page)}

    async def get_page() -> Response:
        return Response(page, headers=headers, media_type="text/html")

    return get_page


def content_policy(page: str) -> str:
    """A content security policy that allows the page's own style and script, by their hashes, no others."""
    return "; ".join(
        [
            "default-src 'none'",
            f"script-src {_hashes(page, 'script')}",
            f"style-src {_hashes(page, 'style')}",
            "connect-src 'self'",
            "media-src 'self' blob: data:",  # with a key, videos are fetched by the script
            "img-src data:",  # the icon
            "form-action 'none'",
            "base-uri 'none'",
            "frame-ancestors 'none'",
        ]
    )


def _hashes(page: str, tag: str) -> str:
    """The hash sources of every element of a tag (CSP level 3, section 2.3.1)."""
    contents = re.findall(rf"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
    digests = (hashlib.sha256(content.encode()).digest() for content in contents)
    return " ".join(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests)
