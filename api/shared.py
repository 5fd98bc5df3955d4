"""Reads of the store that many streams share: news of a job cost one read, however many follow it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable
from typing import Any, NamedTuple, TypeVar

from starlette.concurrency import run_in_threadpool

T = TypeVar("T")


class _Reading(NamedTuple):
    begun: float
    task: asyncio.Task[Any]


class SharedReads:
    """Reads under way, by what they read. Each runs in a thread."""

    def __init__(self) -> None:
        self._under_way: dict[Hashable, _Reading] = {}

    async def get(self, key: Hashable, since: float, read: Callable[[], T]) -> T:
        """What ``read`` returns, or what the reading of another caller does if it began late enough.

        Args:
            key: what is read: equal keys, equal ``read``.
            since: the earliest begin that is good enough, by the event loop's clock.
            read: called in a thread; what it raises reaches everybody who shares the reading.
        """
        reading = self._under_way.get(key)
        if reading is None or reading.begun < since:
            reading = self._under_way[key] = self._begin(key, read)
        result: T = await asyncio.shield(reading.task)  # one that leaves must not take it from the others
        return result

    def _begin(self, key: Hashable, read: Callable[[], Any]) -> _Reading:
        reading = _Reading(asyncio.get_running_loop().time(), asyncio.create_task(run_in_threadpool(read)))

        def ended(task: asyncio.Task[Any]) -> None:
            if not task.cancelled():
                task.exception()  # heard, also where everybody has left
            if self._under_way.get(key) is reading:
                del self._under_way[key]

        reading.task.add_done_callback(ended)
        return reading
