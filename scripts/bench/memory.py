"""How much of Redis a finished job takes."""

from __future__ import annotations

from collections.abc import Iterator

from redis import Redis

from jobs.embedded import EmbeddedRedis
from jobs.policy import Policy
from jobs.state import Note, Progress
from jobs.store_redis import RedisJobStore, connect
from scripts.bench import sample
from scripts.bench.report import Figure
from scripts.bench.workspace import Workspace

JOBS = 2000
HEARTBEATS = 20
GOAL_BYTES = 3 * 1024
NOTES = (
    "Loading t2v-A14B",
    "Loaded t2v-A14B in 31.4 s",
    "Made 81 frames in 612.3 s",
    "Encoded in 2.1 s, stored 4.2 MB in 0.3 s",
)


def measure(workspace: Workspace) -> Iterator[Figure]:
    """Take jobs through their whole life, and see what stays."""
    with EmbeddedRedis(workspace.directory()) as server, connect(server.url) as redis:
        store = RedisJobStore(redis, Policy())
        for _ in range(50):  # what every store has once: buffers, the script, the first of each key
            _live(store, redis)
        before = _used(redis)
        for _ in range(JOBS):
            _live(store, redis)
        per_job = (_used(redis) - before) / JOBS
    spec = len(sample.PROMPT)
    yield Figure(
        what=f"Redis memory of a finished job ({JOBS:,} of them, prompts of {spec} characters)",
        measured=f"{per_job:,.0f} B",
        ratio=per_job / GOAL_BYTES,
        against=f"{GOAL_BYTES:,} B",
        goal="< 3 KB",
        met=per_job < GOAL_BYTES,
    )


def _live(store: RedisJobStore, redis: Redis) -> None:
    new = sample.new_job()
    store.submit(new)
    redis.rpop(new.queue)  # as Celery receives the message
    job = store.claim(new.queue, "gpu0@bench")
    if job is None:
        raise RuntimeError(f"Job {new.id} could not be claimed.")
    for step in range(1, HEARTBEATS + 1):
        store.heartbeat(job.lease, Progress("denoising", step, HEARTBEATS))
    store.annotate(new.id, [Note(1_700_000_000 + at, "info", 1, text) for at, text in enumerate(NOTES)], 0)
    store.succeed(job.lease, sample.result(new.id))


def _used(redis: Redis) -> int:
    memory = redis.info("memory")
    # What waits to be written to the append-only file is no part of a job.
    return int(memory["used_memory"]) - int(memory["mem_aof_buffer"])
