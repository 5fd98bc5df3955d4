"""Where benchmarks work: temporary directories, tiny models, and processes that always end."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from tempfile import mkdtemp

import httpx

START_SECONDS = 120.0
STOP_SECONDS = 20.0


class Workspace:
    """One directory for a whole run; whoever makes it removes it."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def directory(self) -> Path:
        """A fresh, empty directory."""
        return Path(mkdtemp(dir=self._root))

    @cached_property
    def models(self) -> Path:
        """A models directory with the tiny models, built on first use."""
        models = self._root / "models"
        command = [sys.executable, "-m", "scripts.build_tiny_models", str(models)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        return models


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def running(*module: str, environment: Mapping[str, str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run ``python -m module…`` for as long as the context lasts; nothing it started outlives it.

    A session of its own keeps Ctrl-C from it, so that it is ended in order from here.
    """
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", *module],
            env=os.environ | environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def wait_until_ready(url: str, process: subprocess.Popen[bytes], log: Path, *, workers: bool = False) -> None:
    """Wait until the address answers with success, and with ``workers`` until it also tells of some.

    Raises:
        RuntimeError: the process ended, or the time ran out; the message has the end of its log.
    """
    give_up_at = time.monotonic() + START_SECONDS
    while not _is_ready(url, workers=workers):
        if process.poll() is not None or time.monotonic() > give_up_at:
            raise RuntimeError(f"{url} does not answer. The end of {log}:\n{log.read_text()[-2000:]}")
        time.sleep(0.05)


def _is_ready(url: str, *, workers: bool) -> bool:
    try:
        answer = httpx.get(url, timeout=2)
        return answer.is_success and (not workers or any(answer.json()["workers"].values()))
    except httpx.HTTPError:
        return False
