"""The pages for people: the studio, where videos are made, and the description of the API."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from importlib.resources import files
from pathlib import PurePosixPath

from fastapi import APIRouter, Response

PAGES = {"/": "studio.html", "/docs": "docs.html"}
"""The pages by their paths."""

PARTS = "/static/"
"""Where the styles and scripts of the pages are. Like the pages they hold no data."""

CONTENT_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' blob:; media-src 'self' blob: data:; "  # blob: what was chosen or fetched with a key
    "form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
)
"""What a page may load and run (CSP level 3): its own files, nothing inline, nothing from elsewhere."""

_TYPES = {".css": "text/css", ".html": "text/html", ".js": "text/javascript", ".svg": "image/svg+xml"}


def page_router() -> APIRouter:
    """The routes of the pages and their parts. The files are read once, when the app is made."""
    router = APIRouter()
    paths = {name: path for path, name in PAGES.items()}
    for file in files("api").joinpath("static").iterdir():
        path = paths.get(file.name, PARTS + file.name)
        router.add_api_route(path, _serving(file.name, file.read_bytes()), include_in_schema=False)
    return router


def _serving(name: str, content: bytes) -> Callable[[], Awaitable[Response]]:
    media_type = _TYPES[PurePosixPath(name).suffix]
    headers = {"cache-control": "no-cache"}
    if media_type == "text/html":
        headers["content-security-policy"] = CONTENT_POLICY

    async def get_file() -> Response:
        return Response(content, headers=headers, media_type=media_type)

    return get_file
