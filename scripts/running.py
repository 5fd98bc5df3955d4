"""Which service runs from a data directory: it leaves a note there for as long as it runs."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import httpx


class Running(NamedTuple):
    """The process of a service, its address, and Flower's if it has one."""

    pid: int
    url: str
    flower: str | None = None


def running_from(data_dir: Path) -> Running | None:
    """What the note says, which may be older than a crash; None where there is none."""
    try:
        return Running(**json.loads(_note(data_dir).read_text()))
    except FileNotFoundError:
        return None


@contextmanager
def noted(data_dir: Path, running: Running) -> Iterator[None]:
    """Leave the note for as long as the context lasts."""
    _note(data_dir).write_text(json.dumps(running._asdict()))
    try:
        yield
    finally:
        forget(data_dir)


def forget(data_dir: Path) -> None:
    """Remove the note."""
    _note(data_dir).unlink(missing_ok=True)


def answers(url: str) -> bool:
    """Whether something listens at an address and speaks HTTP."""
    try:
        httpx.get(f"{url}/health/live", timeout=5)
    except httpx.TransportError:
        return False
    return True


def is_up(running: Running) -> bool:
    """Whether a noted service still runs: its process and its address may be another's by now."""
    try:
        os.kill(running.pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # another user's
    return answers(running.url)


def stop_command(data_dir: Path) -> str:
    """What a person types to stop the service of a data directory."""
    return f"DATA_DIR={data_dir} make stop" if "DATA_DIR" in os.environ else "make stop"


def _note(data_dir: Path) -> Path:
    return data_dir / "serve.json"
