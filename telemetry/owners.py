"""Log lines that may be read by more than operators: by whoever owns the work that they are about."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from structlog.contextvars import get_contextvars

from telemetry.logs import ROOMS

_MARK = "for_owner"

Listener = Callable[[logging.LogRecord, str, Mapping[str, str]], None]
"""Called with a line, what its owner may read of it, and what it is about."""


def for_owner(text: str | None = None) -> dict[str, str | None]:
    """The ``extra`` of a log line that the owner may read as well, or with a text that tells strangers less.

    Whatever is not marked so stays among operators. What is may name no other owner's work, no secret and no
    place on our machines.
    """
    return {_MARK: text}


@contextmanager
def telling_owners(listener: Listener) -> Iterator[None]:
    """Pass marked lines from INFO on to a listener as well, whatever level operators chose."""
    root, handler = logging.getLogger(), _Owners(listener)
    # Not in emit: the listener may log as well, and would wait for a handler that waits for it.
    handler.addFilter(lambda record: hasattr(record, _MARK))
    ours = [logging.getLogger(name) for name in ROOMS]
    before = [logger.level for logger in ours]
    for logger in ours:
        logger.setLevel(min(logger.level or logging.INFO, logging.INFO))
    root.addHandler(handler)
    try:
        yield
    finally:
        root.removeHandler(handler)
        for logger, level in zip(ours, before, strict=True):
            logger.setLevel(level)


class _Owners(logging.Handler):
    def __init__(self, listener: Listener) -> None:
        super().__init__(logging.INFO)
        self._listener = listener

    def emit(self, record: logging.LogRecord) -> None:
        self._listener(record, getattr(record, _MARK) or record.getMessage(), get_contextvars())
