"""One way to log for every process: a line with the time, the level, who says what, and about what."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

# Python gives every thread and every asyncio task a context of its own; the variable is where to look in it.
_facts: ContextVar[Mapping[str, str]] = ContextVar("log_facts")


def configure_logging(level: str) -> None:
    """Send records of ``level`` and above to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(_add_facts)
    logging.basicConfig(
        level=level,
        handlers=[handler],
        format="%(asctime)s %(levelname)-7s %(name)s: %(message)s%(facts)s",
        force=True,
    )


def note(**facts: str) -> None:
    """End every further log line of this thread or task with these facts; empty ones are left out."""
    _facts.set({**_facts.get({}), **facts})


@contextmanager
def noted(**facts: str) -> Iterator[None]:
    """The same for as long as the context lasts."""
    before = _facts.set({**_facts.get({}), **facts})
    try:
        yield
    finally:
        _facts.reset(before)


def current_facts() -> Mapping[str, str]:
    """What has been noted for this thread or task."""
    return {name: value for name, value in _facts.get({}).items() if value}


def _add_facts(record: logging.LogRecord) -> bool:
    told = " ".join(f"{name}={value}" for name, value in current_facts().items())
    record.facts = f" [{told}]" if told else ""
    return True
