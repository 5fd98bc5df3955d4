"""A thousand event streams on one gateway: what they cost while nothing happens, and when something does."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence
from urllib.parse import urlsplit

import psutil

from jobs.policy import Policy
from jobs.state import Job, Progress
from jobs.store_redis import RedisJobStore, connect
from scripts.bench import sample
from scripts.bench.report import Figure, percentile
from scripts.bench.service import serving
from scripts.bench.workspace import Workspace

STREAMS = 1000
IDLE_SECONDS = 20.0  # longer than the pause between two heartbeats
ROUNDS = 5
GOAL_STREAM_BYTES = 100_000
PATIENCE_SECONDS = 60.0


def measure(workspace: Workspace) -> Iterator[Figure]:
    """Follow a thousand running jobs with a stream each."""
    with serving(workspace) as (address, redis_url), connect(redis_url) as redis:
        store = RedisJobStore(redis, Policy(lease_seconds=3600))
        jobs = [_running_job(store) for _ in range(STREAMS)]
        yield from asyncio.run(_follow(address, store, jobs, _gateway(address)))


def _running_job(store: RedisJobStore) -> Job:
    store.submit(sample.new_job())
    job = store.claim(sample.TASK, "gpu0@bench")
    if job is None:
        raise RuntimeError("A job could not be claimed.")
    return job


def _gateway(address: str) -> psutil.Process:
    """The process that listens there: one that this one started."""
    port = urlsplit(address).port
    for process in psutil.Process().children(recursive=True):
        for connection in process.net_connections("inet"):
            if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port:
                return process
    raise RuntimeError(f"No process of ours listens at {address}.")


async def _follow(
    address: str, store: RedisJobStore, jobs: Sequence[Job], gateway: psutil.Process
) -> list[Figure]:
    before = gateway.memory_info().rss
    streams = await asyncio.gather(*(_Stream.open(address, job.id) for job in jobs))
    await asyncio.gather(*(stream.next() for stream in streams for _ in range(2)))  # queued, in progress
    memory = (gateway.memory_info().rss - before) / STREAMS
    spent = _cpu(gateway)
    await asyncio.sleep(IDLE_SECONDS)
    idle = (_cpu(gateway) - spent) / IDLE_SECONDS
    delays, cost = await _tell_all(store, jobs, streams, gateway)
    for stream in streams:
        stream.close()
    return [
        Figure(
            what=f"{STREAMS:,} event streams on one gateway: memory of each",
            measured=f"{memory / 1000:.0f} KB",
            goal=f"under {GOAL_STREAM_BYTES / 1000:.0f} KB",
            met=memory < GOAL_STREAM_BYTES,
        ),
        Figure(what="their heartbeats, while nothing happens", measured=f"{idle:.1%} of a core"),
        Figure(
            what=f"progress of {STREAMS:,} jobs at once, until each stream has its own: median, 99%",
            measured=f"{percentile(delays, 50) * 1000:.0f} ms, {percentile(delays, 99) * 1000:.0f} ms",
        ),
        Figure(what="CPU of the gateway for one event of one stream", measured=f"{cost * 1000:.2f} ms"),
    ]


async def _tell_all(
    store: RedisJobStore, jobs: Sequence[Job], streams: Sequence[_Stream], gateway: psutil.Process
) -> tuple[list[float], float]:
    """Seconds from each job's progress to its stream, and CPU seconds of the gateway an event."""
    delays: list[float] = []
    spent = _cpu(gateway)
    for step in range(1, ROUNDS + 1):
        begun = await asyncio.to_thread(_progress, store, jobs, step)
        for stream, begin in zip(streams, begun, strict=True):
            delays.append(await stream.next() - begin)
    return delays, (_cpu(gateway) - spent) / len(delays)


def _progress(store: RedisJobStore, jobs: Sequence[Job], step: int) -> list[float]:
    """Let every job make a step; when each did, on the monotonic clock."""
    begun = []
    for job in jobs:
        begun.append(time.monotonic())
        store.heartbeat(job.lease, Progress("denoising", step, ROUNDS))
    return begun


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


class _Stream:
    """One client that reads as fast as it can, and notes when each event came."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        self._came: asyncio.Queue[float] = asyncio.Queue()
        self._reading = asyncio.create_task(self._read(reader))

    @classmethod
    async def open(cls, address: str, job_id: str) -> _Stream:
        """Connect and ask."""
        host, _, port = urlsplit(address).netloc.partition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(f"GET /jobs/{job_id}/events HTTP/1.1\r\nhost: {host}\r\n\r\n".encode())
        return cls(reader, writer)

    async def next(self) -> float:
        """When the next event came."""
        return await asyncio.wait_for(self._came.get(), PATIENCE_SECONDS)

    def close(self) -> None:
        """Hang up."""
        self._reading.cancel()
        self._writer.close()

    async def _read(self, reader: asyncio.StreamReader) -> None:
        async for line in reader:
            if line.startswith(b"event:"):
                self._came.put_nowait(time.monotonic())
