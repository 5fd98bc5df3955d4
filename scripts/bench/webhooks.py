"""Delivering webhooks: messages a second from the outbox to receivers that take them at once."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Iterator
from subprocess import PIPE, Popen

from jobs.embedded import EmbeddedRedis
from jobs.policy import Policy
from jobs.state import NewJob
from jobs.store_redis import RedisJobStore, connect
from jobs.webhook_store import WebhookStore
from scripts.bench.report import Figure
from scripts.bench.workspace import Workspace, running

TENANTS = 16  # each with a receiver of its own
JOBS = 1000
MESSAGES = 2 * JOBS  # queued and cancelled
PATIENCE_SECONDS = 120.0


def measure(workspace: Workspace) -> Iterator[Figure]:
    """Fill the outbox, then let one deliverer empty it."""
    directory = workspace.directory()
    with (
        EmbeddedRedis(directory / "redis") as server,
        connect(server.url) as redis,
        Popen([sys.executable, "-m", "scripts.bench.webhooks"], stdout=PIPE, text=True) as sink,
    ):
        if sink.stdout is None:
            raise RuntimeError("The receiver has no output.")
        store, webhooks = RedisJobStore(redis, Policy()), WebhookStore(redis)
        url = sink.stdout.readline().strip()
        for number in range(TENANTS):
            webhooks.register(f"whe_{number}", f"t{number}", url, ["queued", "cancelled"])
        for number in range(JOBS):
            job = NewJob(id=f"job_{number:04}", queue="q", spec={}, tenant=f"t{number % TENANTS}")
            store.submit(job)
            store.cancel(job.id)
        environment = {"REDIS_URL": server.url, "WEBHOOK_PRIVATE_HOSTS": "127.0.0.1", "LOG_LEVEL": "WARNING"}
        with running("workers.deliver", environment=environment, log=directory / "log"):
            seconds = float(sink.stdout.readline())
        sink.terminate()
    yield Figure(
        what=f"webhooks of {MESSAGES:,} transitions to {TENANTS} receivers, one deliverer",
        measured=f"{(MESSAGES - 1) / seconds:,.0f}/s",
    )


async def _sink() -> None:
    """Announce the address, and after the last message the seconds since the first."""
    came: list[float] = []
    done = asyncio.Event()

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0]))
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        writer.close()
        came.append(time.monotonic())
        if len(came) == MESSAGES:
            done.set()

    server = await asyncio.start_server(take, "127.0.0.1", 0)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/", flush=True)
    await asyncio.wait_for(done.wait(), PATIENCE_SECONDS)
    print(came[-1] - came[0], flush=True)


if __name__ == "__main__":
    asyncio.run(_sink())
