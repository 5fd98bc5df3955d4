"""Query strings, held to what can only be read one way, and to what is read at all."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any
from urllib.parse import parse_qsl

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute

from api.refusals import RepeatedParameterError


class StrictRoute(APIRoute):
    """A route that refuses query parameters which it does not take.

    An endpoint that takes some names them in a model, which forbids all others; the rest take none.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Refuse parameters before the endpoint sees the request."""
        handler = super().get_route_handler()
        return handler if self.dependant.query_params else _without_parameters(handler)


def check_query(query: bytes) -> None:
    """Refuse a parameter that comes twice: which of the two counts, every reader decides for itself.

    Raises:
        RepeatedParameterError: one does.
    """
    seen = set()
    for name in _names(query):
        if name in seen:
            raise RepeatedParameterError(name)
        seen.add(name)


def _without_parameters(
    handler: Callable[[Request], Coroutine[Any, Any, Response]],
) -> Callable[[Request], Coroutine[Any, Any, Response]]:
    async def handle(request: Request) -> Response:
        if unknown := _names(request.scope["query_string"]):
            raise RequestValidationError(
                [{"type": "extra_forbidden", "loc": ("query", name)} for name in unknown]
            )
        return await handler(request)

    return handle


def _names(query: bytes) -> list[str]:
    return [name for name, _ in parse_qsl(query.decode("latin-1"), keep_blank_values=True)]
