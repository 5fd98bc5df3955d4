"""The bytes of an open artifact, in chunks."""

from __future__ import annotations

from collections.abc import Iterator
from types import TracebackType
from typing import Protocol, Self

from jobs.errors import ArtifactStoreUnavailableError

CHUNK_BYTES = 128 * 1024


class Readable(Protocol):
    """An open file or HTTP response body."""

    def read(self, size: int, /) -> bytes:
        """Up to so many bytes; none at the end."""
        ...

    def close(self) -> None:
        """Release the file or the connection."""
        ...


class ArtifactStream(Iterator[bytes]):
    """Chunks of ``length`` bytes in all, behind the first ``skip`` bytes of ``body``.

    A class and not a generator, because closing a generator that was never advanced does not run
    its ``finally``, and a client may hang up before the first chunk.

    Args:
        body: where the bytes come from; closed at the end, on failure and by ``close``.
        length: how many bytes to give.
        skip: how many bytes to drop first.
        losses: what ``body`` raises, besides OSError, when its connection breaks.

    Raises:
        ArtifactStoreUnavailableError: while iterating, when the body breaks off.
    """

    def __init__(
        self, body: Readable, length: int, skip: int = 0, losses: tuple[type[Exception], ...] = ()
    ) -> None:
        self._body = body
        self._skip = skip
        self._left = length
        self._losses: tuple[type[Exception], ...] = (OSError, *losses)

    def __next__(self) -> bytes:
        if not self._left:
            self.close()
            raise StopIteration
        while self._skip:
            self._skip -= len(self._take(self._skip))
        chunk = self._take(self._left)
        self._left -= len(chunk)
        return chunk

    def close(self) -> None:
        """Release the file or the connection behind the stream; it has no further chunks."""
        self._skip = self._left = 0
        self._body.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _take(self, wanted: int) -> bytes:
        try:
            chunk = self._body.read(min(wanted, CHUNK_BYTES))
        except self._losses as error:
            self.close()
            raise ArtifactStoreUnavailableError("The artifact store broke off in mid-file.") from error
        if not chunk:
            self.close()
            raise ArtifactStoreUnavailableError("The artifact ended before its last byte.")
        return chunk
