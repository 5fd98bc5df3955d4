"""Byte ranges of RFC 9110, section 14, as a pure function of the header and the size."""

from __future__ import annotations

import re
from dataclasses import dataclass

_SPEC = re.compile(r"(?P<first>[0-9]*)-(?P<last>[0-9]*)")
_UNIT = "bytes="
_DIGITS = 19  # those of any file's size; Python refuses to read numbers of thousands of digits


class UnsatisfiableRangeError(Exception):
    """The header asks for bytes that a file of this size does not have. ``size`` is in bytes."""

    def __init__(self, size: int) -> None:
        super().__init__(f"The file has {size} bytes; none of them is in the range asked for.")
        self.size = size


@dataclass(frozen=True, slots=True)
class ByteRange:
    """Bytes ``first`` to ``last`` inclusive of a file of ``size`` bytes."""

    first: int
    last: int
    size: int

    @property
    def length(self) -> int:
        """How many bytes that is."""
        return self.last - self.first + 1

    @property
    def content_range(self) -> str:
        """The value of the Content-Range header."""
        return f"bytes {self.first}-{self.last}/{self.size}"


def parse_range(header: str | None, size: int) -> ByteRange | None:
    """The one range that a Range header asks for, or None where the whole file is the answer.

    A header that names another unit or asks for several ranges is ignored, as the RFC allows (sections
    14.2 and 15.3.7): the client then gets everything. A malformed one is rejected, which it allows too.

    Raises:
        UnsatisfiableRangeError: the range is malformed, or begins behind the last byte.
    """
    if header is None or not header.lower().startswith(_UNIT) or "," in header:
        return None
    match = _SPEC.fullmatch(header[len(_UNIT) :].strip(" \t"))
    if match is None:
        raise UnsatisfiableRangeError(size)
    first, last = match["first"], match["last"]
    if first:
        return _between(_number(first), _number(last) if last else size - 1, size, open_end=not last)
    return _suffix(_number(last), size)


def _number(digits: str) -> int:
    """A number of bytes, or one that is beyond every file."""
    return int(digits or 0) if len(digits) <= _DIGITS else 10**_DIGITS


def _between(first: int, last: int, size: int, *, open_end: bool) -> ByteRange:
    if first >= size or (last < first and not open_end):
        raise UnsatisfiableRangeError(size)
    return ByteRange(first, min(last, size - 1), size)


def _suffix(length: int, size: int) -> ByteRange:
    """The last ``length`` bytes, or all of them where there are fewer."""
    if not length or not size:
        raise UnsatisfiableRangeError(size)
    return ByteRange(max(0, size - length), size - 1, size)
