"""Query strings, held to what can only be read one way."""

from __future__ import annotations

from urllib.parse import parse_qsl

from api.refusals import RepeatedParameterError


def check_query(query: bytes) -> None:
    """Refuse a parameter that comes twice: which of the two counts, every reader decides for itself.

    Raises:
        RepeatedParameterError: one does.
    """
    seen = set()
    for name, _ in parse_qsl(query.decode("latin-1"), keep_blank_values=True):
        if name in seen:
            raise RepeatedParameterError(name)
        seen.add(name)
