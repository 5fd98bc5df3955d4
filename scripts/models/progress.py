"""A progress bar, and lines above it."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)


class ProgressBar:
    """Shows bytes that come or are read, their pace, and how long it will take. A context manager."""

    def __init__(self) -> None:
        self._console = Console(highlight=False, soft_wrap=True)
        self._bar = Progress(
            TextColumn("{task.description:<12}"),
            BarColumn(),
            DownloadColumn(binary_units=False),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
            console=self._console,
        )
        self._open = ExitStack()
        self._task: TaskID | None = None

    def __enter__(self) -> Self:
        self._open.enter_context(self._bar)
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def begin(self, title: str, total: int) -> None:
        """See Progress of scripts.models.install."""
        self._task = self._bar.add_task(title, total=total)

    def advance(self, size: int) -> None:
        """See Progress of scripts.models.install."""
        if self._task is not None:
            self._bar.advance(self._task, size)

    def note(self, text: str) -> None:
        """See Progress of scripts.models.install."""
        self._bar.console.print(text, markup=False)
