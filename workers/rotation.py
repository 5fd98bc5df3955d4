"""Which of its queues a worker takes jobs of: its parent process says, the child and the keeper see."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from tempfile import TemporaryFile


class Rotation:
    """The queues of a worker, and those of them that it takes jobs of.

    Noted in a file without a name, a byte a queue: 1 where it is out. It begins empty, with no queue out.
    Processes that are forked share it, and so does a program that inherits its descriptor.

    Args:
        queues: those that the worker serves, in the same order everywhere.
        descriptor: of the file, in a program that inherited it.
    """

    def __init__(self, queues: Sequence[str], descriptor: int | None = None) -> None:
        self.queues = tuple(queues)
        self.descriptor = _nameless_file() if descriptor is None else descriptor

    def tell(self, taken: Collection[str]) -> None:
        """Say of which queues jobs are taken from now on."""
        os.pwrite(self.descriptor, bytes(queue not in taken for queue in self.queues), 0)

    def taken(self) -> list[str]:
        """The queues that jobs are taken of."""
        out = os.pread(self.descriptor, len(self.queues), 0).ljust(len(self.queues), b"\0")
        return [queue for queue, is_out in zip(self.queues, out, strict=True) if not is_out]


def _nameless_file() -> int:
    with TemporaryFile() as file:
        return os.dup(file.fileno())
