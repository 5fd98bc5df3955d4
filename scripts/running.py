"""Which service runs from a data directory: it leaves a note there from its start to its end."""

from __future__ import annotations

import fcntl
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import NamedTuple

import httpx
from pydantic import PositiveInt, TypeAdapter, ValidationError


class Running(NamedTuple):
    """The process of a service, its address, and Flower's if it has one."""

    pid: PositiveInt
    url: str
    flower: str | None = None


_NOTE = TypeAdapter(Running)


def running_from(data_dir: Path) -> Running | None:
    """The service that runs or starts; None without a note, or with one that a crash left or damaged.

    Ends this process with a line that says why, where the directory cannot be looked into.
    """
    try:
        with _note(data_dir).open("rb") as note:
            return _NOTE.validate_json(note.read()) if _is_locked(note.fileno()) else None
    except (FileNotFoundError, ValidationError):
        return None
    except OSError as error:
        sys.exit(f"DATA_DIR {data_dir} cannot be used: {error.strerror}.")


@contextmanager
def noted(data_dir: Path, running: Running) -> Iterator[None]:
    """Leave the note for as long as the context lasts, locked for as long as this process lives."""
    partial = data_dir / f".serve-{running.pid}.json"
    with partial.open("w") as note:
        fcntl.flock(note, fcntl.LOCK_EX)
        json.dump(running._asdict(), note)
        note.flush()
        partial.replace(_note(data_dir))  # nobody reads half a note
        try:
            yield
        finally:
            _note(data_dir).unlink(missing_ok=True)


def make_data_dir(data_dir: Path) -> None:
    """Make the directory if need be, or end this process with a line that says why it cannot be used."""
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        TemporaryFile(dir=data_dir).close()
    except OSError as error:
        sys.exit(f"DATA_DIR {data_dir} cannot be used: {error.strerror}.")


def answers(url: str) -> bool:
    """Whether something listens at an address and speaks HTTP."""
    try:
        httpx.get(f"{url}/health/live", timeout=5)
    except httpx.TransportError:
        return False
    return True


def stop_command(data_dir: Path) -> str:
    """What a person types to stop the service of a data directory."""
    return f"DATA_DIR={data_dir} make stop" if "DATA_DIR" in os.environ else "make stop"


def _is_locked(note: int) -> bool:
    """Whether the process that wrote the note lives. Its number alone may be another's by now."""
    try:
        fcntl.flock(note, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    return False


def _note(data_dir: Path) -> Path:
    return data_dir / "serve.json"
