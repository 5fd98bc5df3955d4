"""Parts that several loaded models have in common. No torch here."""

from __future__ import annotations

from typing import Any
from weakref import WeakValueDictionary


class Shelf:
    """Keeps parts for as long as some model uses them, by the digest of their files."""

    def __init__(self) -> None:
        self._parts: WeakValueDictionary[str, Any] = WeakValueDictionary()

    def get(self, digest: str) -> Any | None:
        """The part that was loaded from these files, None when no model has it any more."""
        return self._parts.get(digest)

    def put(self, digest: str, part: Any) -> None:
        """Let other models have a part."""
        self._parts[digest] = part
