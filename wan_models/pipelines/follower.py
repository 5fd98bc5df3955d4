"""A process that runs the requests of a leader in step with it; see ``wan_models.pipelines.parallel``.

It reads a line of JSON a request, first one that says what to load, and answers each with a line. It ends
with its standard input, also in the middle of a run.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import Any

from telemetry.logs import configure_logging
from telemetry.settings import LogSettings
from wan_models.errors import ModelsError
from wan_models.pipeline import Pipeline, Run
from wan_models.pipelines.parallel import OPTIONS, following, join, load
from wan_models.request import VideoRequest

_log = logging.getLogger(__name__)


class _Resumed:
    """The checkpoint that the leader resumes from. Only the leader saves."""

    def __init__(self, path: str, fingerprint: str) -> None:
        self.fingerprint = fingerprint
        self._path = Path(path)

    def resume(self) -> Path | None:
        return self._path

    def due(self) -> bool:
        return False

    def save(self, step: int, write: Callable[[Path], None]) -> None:
        """Nothing: it is never due."""


def main() -> None:
    """Follow until the leader has gone."""
    configure_logging(LogSettings(), "follower")
    tasks: SimpleQueue[dict[str, Any]] = SimpleQueue()
    Thread(target=_read, args=(tasks,), daemon=True).start()
    first = tasks.get()
    options = OPTIONS.validate_python(first["options"])
    join(first["rank"], options.context_parallel, Path(first["rendezvous"]))
    pipeline = load(first["where"], Path(first["path"]), options)
    while True:
        _answer()
        _follow(pipeline, tasks.get())


def _read(tasks: SimpleQueue[dict[str, Any]]) -> None:
    for line in sys.stdin:
        tasks.put(json.loads(line))
    os._exit(0)  # the leader has gone: whatever the other thread waits for will not come


def _answer() -> None:
    sys.stdout.write("{}\n")
    sys.stdout.flush()


def _follow(pipeline: Pipeline, task: Mapping[str, Any]) -> None:
    inputs = {name: Path(path) for name, path in task["inputs"].items()}
    resumed = _Resumed(task["resume"], task["fingerprint"]) if task["resume"] else None
    try:
        pipeline.generate(
            VideoRequest.model_validate(task["request"]),
            Run(on_step=following, inputs=inputs, checkpoints=resumed),
        )
    except ModelsError as error:
        _log.info("A run ended early, as that of the leader did: %s", error)


if __name__ == "__main__":
    main()
