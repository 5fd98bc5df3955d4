"""One way to log for every process: a line that says when, how bad, who, what, and about which job.

Modules log with the standard library. What their lines are about is bound around them by
``structlog.contextvars``; Python gives every thread and every asyncio task a context of its own.
"""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TextIO

from structlog.contextvars import merge_contextvars
from structlog.dev import ConsoleRenderer, plain_traceback
from structlog.processors import JSONRenderer, format_exc_info
from structlog.stdlib import ExtraAdder, ProcessorFormatter
from structlog.typing import EventDict, Processor, WrappedLogger

from telemetry.settings import LogSettings

ROOMS = ("api", "jobs", "routing", "scripts", "telemetry", "wan_models", "workers", "__main__")
"""Our own loggers. Those of libraries stay at INFO: below, they tell of headers and bodies, so of secrets."""

QUIET = {
    "celery.app.trace": logging.WARNING,  # a message may run another job than the one it was sent for
    "celery.worker.strategy": logging.WARNING,
    "celery.worker.request": logging.CRITICAL,  # that a child died, with a traceback: its pool has told it
    "httpx": logging.WARNING,  # whole URLs
    "multiprocessing": logging.ERROR,  # each step of the pool
    "opentelemetry.exporter": logging.ERROR,  # each try to reach a collector that is away
}
"""Loggers that would mislead or tell too much, and from which level on they are heard."""

_FACTS = ("process", "worker", "job", "attempt", "tenant", "request_id", "trace_id")
"""What a line may be about, in this order."""

FILE_BYTES = 20 * 1024 * 1024
OLDER_FILES = 5

_log = logging.getLogger(__name__)


def configure_logging(settings: LogSettings, process: str, **facts: str) -> None:
    """Send the log lines of this process to standard error, and to a file where the settings name a folder.

    Args:
        settings: what is logged, how and where.
        process: what kind of process this is, such as ``gateway``; its file is named after it.
        facts: what every line of this process is about.

    Raises:
        SystemExit: there can be no file in the folder.
    """
    level = logging.getLevelNamesMapping()[settings.log_level]
    told = {"process": process, **facts}
    handlers = [_terminal(settings, told, sys.stderr)]
    if settings.log_dir:
        handlers.append(_file(settings, told, settings.log_dir))
    for handler in handlers:
        handler.setLevel(level)
    logging.basicConfig(level=max(level, logging.INFO), handlers=handlers, force=True)
    for name in ROOMS:
        logging.getLogger(name).setLevel(level)
    for name, least in QUIET.items():
        logging.getLogger(name).setLevel(max(level, least))
    logging.captureWarnings(capture=True)
    sys.excepthook = _log_end
    threading.excepthook = _log_end_of_thread


def share_logging(*libraries: str) -> None:
    """Have libraries that set up logging by themselves log as everybody does; call it after that."""
    for name in libraries:
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True


def _terminal(settings: LogSettings, told: Mapping[str, str], stream: TextIO) -> logging.Handler:
    handler = logging.StreamHandler(stream)
    for_people = settings.log_format == "console" if settings.log_format else stream.isatty()
    rendering = _console(colors=stream.isatty()) if for_people else _json()
    handler.setFormatter(_formatter(settings, told, rendering))
    return handler


def _file(settings: LogSettings, told: Mapping[str, str], folder: Path) -> logging.Handler:
    # Seldom used, and slow to import. Processes of a kind share a file, so it is locked to be rotated.
    from concurrent_log_handler import ConcurrentRotatingFileHandler  # noqa: PLC0415 - see above

    path = folder / f"{told['process']}.log"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        path.open("ab").close()
    except OSError as error:
        sys.exit(f"LOG_DIR {folder} cannot be written to: {error.strerror}.")
    handler = ConcurrentRotatingFileHandler(
        str(path), maxBytes=FILE_BYTES, backupCount=OLDER_FILES, encoding="utf-8"
    )
    rendering = _console(colors=False) if settings.log_format == "console" else _json()
    handler.setFormatter(_formatter(settings, told, rendering))
    return handler


def _formatter(
    settings: LogSettings, told: Mapping[str, str], rendering: Sequence[Processor]
) -> logging.Formatter:
    untold = frozenset() if settings.log_prompts else frozenset({"prompt"})
    facts: list[Processor] = [
        partial(_add_facts, told),
        merge_contextvars,
        ExtraAdder(allow=["prompt"]),
        partial(_choose, untold),
    ]
    return ProcessorFormatter(foreign_pre_chain=facts, processors=rendering)


def _json() -> list[Processor]:
    return [
        partial(_begin, _utc),
        ProcessorFormatter.remove_processors_meta,
        format_exc_info,
        JSONRenderer(),
    ]


def _console(*, colors: bool) -> list[Processor]:
    renderer = ConsoleRenderer(
        colors=colors,
        pad_event_to=50,
        event_key="message",
        sort_keys=False,
        exception_formatter=plain_traceback,  # rich's shows the values of variables
    )
    return [partial(_begin, _local), ProcessorFormatter.remove_processors_meta, _shorten, renderer]


def _add_facts(told: Mapping[str, str], _logger: WrappedLogger, _name: str, event: EventDict) -> EventDict:
    return {**event, **told}


def _choose(untold: frozenset[str], _logger: WrappedLogger, _name: str, event: EventDict) -> EventDict:
    """Leave out what is empty, and what is not to be told."""
    return {name: value for name, value in event.items() if name not in untold and value not in ("", None)}


def _begin(clock: Callable[[float], str], _logger: WrappedLogger, _name: str, event: EventDict) -> EventDict:
    record: logging.LogRecord = event["_record"]
    said = {"timestamp": clock(record.created), "level": record.levelname.lower(), "logger": _who(record)}
    facts = {name: event[name] for name in _FACTS if name in event}
    return {**said, "message": event.pop("event"), **facts, **event}


def _who(record: logging.LogRecord) -> str:
    """The name of the logger; a module that was started as a program is called by its own."""
    program = sys.modules["__main__"].__spec__ if record.name == "__main__" else None
    return program.name if program else record.name


def _utc(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _local(seconds: float) -> str:
    return datetime.fromtimestamp(seconds).isoformat(" ", "milliseconds")  # noqa: DTZ006 - for whoever looks on


def _shorten(_logger: WrappedLogger, _name: str, event: EventDict) -> EventDict:
    """Leave out what a person sees anyway."""
    if event.get("trace_id") == event.get("request_id"):
        event.pop("trace_id", None)
    return event


def _log_end(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
    else:
        _log.critical("The process broke", exc_info=(kind, error, trace))


def _log_end_of_thread(ended: threading.ExceptHookArgs) -> None:
    if ended.exc_value is not None:
        name = ended.thread.name if ended.thread else "unknown"
        told = (ended.exc_type, ended.exc_value, ended.exc_traceback)
        _log.critical("The thread %s broke", name, exc_info=told)
