"""Which of its queues a worker takes jobs of: its parent and its child say, the keeper sees."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from tempfile import TemporaryFile


class Rotation:
    """The queues of a worker, and those of them that it takes jobs of.

    Noted in memory where the system has files there, as a full disk takes no note: a byte a queue, 1 where it
    is out, and behind them a byte of the child's, 1 while it waits. It begins empty, with no queue out.
    Processes that are forked share it, and so does a program that inherits its descriptor.

    Args:
        queues: those that the worker serves, in the same order everywhere.
        descriptor: of the note, in a program that inherited it.
    """

    def __init__(self, queues: Sequence[str], descriptor: int | None = None) -> None:
        self.queues = tuple(queues)
        self.descriptor = _nameless_file() if descriptor is None else descriptor

    def tell(self, taken: Collection[str]) -> None:
        """Say of which queues jobs are taken from now on."""
        os.pwrite(self.descriptor, bytes(queue not in taken for queue in self.queues), 0)

    def wait(self, waits: bool) -> None:
        """Say whether no job is taken for now, of whichever queue."""
        os.pwrite(self.descriptor, bytes([waits]), len(self.queues))

    def taken(self) -> list[str]:
        """The queues that jobs are taken of."""
        size = len(self.queues) + 1
        *out, waits = os.pread(self.descriptor, size, 0).ljust(size, b"\0")
        return [] if waits else [queue for queue, is_out in zip(self.queues, out, strict=True) if not is_out]


def _nameless_file() -> int:
    if hasattr(os, "memfd_create"):
        return os.memfd_create("rotation")
    with TemporaryFile() as file:  # macOS has no files in memory
        return os.dup(file.fileno())
