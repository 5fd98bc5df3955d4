"""Asking a store that is away again until it answers."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from jobs.errors import StoreUnavailableError

T = TypeVar("T")

_EVERY_SECONDS = 0.2


def insist(verb: Callable[[], T], patience_seconds: float) -> T:
    """What the verb answers. It must be one that may be repeated when its answer got lost.

    Raises:
        StoreUnavailableError: the store was away for all that time.
    """
    give_up_at = time.monotonic() + patience_seconds
    while True:
        try:
            return verb()
        except StoreUnavailableError:
            if time.monotonic() > give_up_at:
                raise
            time.sleep(_EVERY_SECONDS)
