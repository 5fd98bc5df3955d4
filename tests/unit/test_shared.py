"""One reading for all who want it at a time: fresh enough, and left by anybody at no cost to others."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from threading import Event

import pytest

from api.shared import SharedReads


class Reader:
    """Counts its readings; each waits until it is let go."""

    def __init__(self) -> None:
        self.count = 0
        self.go = Event()
        self.begun: asyncio.Queue[int] = asyncio.Queue()
        self.loop = asyncio.get_running_loop()

    def __call__(self) -> int:
        self.count += 1
        number = self.count
        self.loop.call_soon_threadsafe(self.begun.put_nowait, number)
        self.go.wait()
        return number


def run(scenario: Callable[[], Coroutine[None, None, None]]) -> None:
    asyncio.run(scenario())


def now() -> float:
    return asyncio.get_running_loop().time()


def test_those_who_ask_at_the_same_time_share_one_reading():
    async def scenario() -> None:
        reads, reader, since = SharedReads(), Reader(), now()
        waiting = [asyncio.create_task(reads.get("job", since, reader)) for _ in range(100)]
        await reader.begun.get()
        reader.go.set()
        assert await asyncio.gather(*waiting) == [1] * 100

    run(scenario)


def test_one_who_was_told_after_the_reading_began_gets_another():
    async def scenario() -> None:
        reads, reader = SharedReads(), Reader()
        early = asyncio.create_task(reads.get("job", now(), reader))
        await reader.begun.get()
        late = asyncio.create_task(reads.get("job", now() + 0.001, reader))
        await reader.begun.get()
        reader.go.set()
        assert (await early, await late) == (1, 2)

    run(scenario)


def test_what_is_read_under_another_name_is_not_shared():
    async def scenario() -> None:
        reads, reader = SharedReads(), Reader()
        reader.go.set()
        since = now()
        both = await asyncio.gather(reads.get("a", since, reader), reads.get("b", since, reader))
        assert sorted(both) == [1, 2]

    run(scenario)


def test_one_who_leaves_takes_the_reading_from_nobody():
    async def scenario() -> None:
        reads, reader, since = SharedReads(), Reader(), now()
        leaving, staying = (asyncio.create_task(reads.get("job", since, reader)) for _ in range(2))
        await reader.begun.get()
        leaving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leaving
        reader.go.set()
        assert await staying == 1

    run(scenario)


def test_a_fault_reaches_everybody_and_is_not_kept():
    async def scenario() -> None:
        reads, since = SharedReads(), now()

        def broken() -> int:
            raise ValueError("broken")

        waiting = [asyncio.create_task(reads.get("job", since, broken)) for _ in range(3)]
        assert [str(error) for error in await asyncio.gather(*waiting, return_exceptions=True)] == [
            "broken"
        ] * 3
        assert await reads.get("job", since, lambda: 1) == 1

    run(scenario)


def test_nothing_is_kept_once_it_was_read():
    async def scenario() -> None:
        reads = SharedReads()
        assert await reads.get("job", now(), lambda: 1) == 1
        assert not reads._under_way

    run(scenario)
