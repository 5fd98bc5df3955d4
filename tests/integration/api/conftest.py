"""A gateway over a real Redis and a real directory."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from starlette.testclient import TestClient

from api.access import Access, Anonymous
from api.admission import Admissions
from api.app import create_app
from api.cached import Cached
from api.feed import RedisFeed
from api.follow import Follow
from api.inputs.intake import open_intake
from api.keyring import Keyring
from api.limiter import Limiter
from api.load import Load
from api.outages import Outages
from api.parts import Parts
from api.settings import GatewaySettings
from api.tenancy import TenantStore
from api.watch import Watch
from api.webhooks import Webhooks
from jobs.artifacts_local import LocalArtifactStore
from jobs.keys_memory import MemoryKeyStore
from jobs.limits import Limits, LimitStore
from jobs.outbound import Outbound
from jobs.policy import Policy
from jobs.state import Job, JobFilter, NewJob, Progress
from jobs.store import JobStore
from jobs.store_redis import RedisJobStore, connect
from jobs.webhook_store import WebhookStore
from routing.desk import open_desk
from routing.settings import NeighbourSettings
from wan_models.catalog import CATALOG
from wan_models.models_dir import InstalledModel

BODY = {"task": "t2v-A14B", "prompt": "A cat playing in a garden", "size": "128*64", "frame_num": 17}
VIDEO = bytes(range(256)) * 1200  # more than two chunks of a stream


@dataclass
class Gateway:
    """A gateway, the stores behind it, and what a worker would do to its jobs."""

    parts: Parts
    client: TestClient
    videos: Path

    @property
    def store(self) -> JobStore:
        assert not isinstance(self.parts.store, TenantStore)
        return self.parts.store

    @property
    def submitted(self) -> list[Job]:
        """Every job there is, oldest first."""
        return self.store.find(JobFilter(), 100, oldest_first=True)

    def submit(self, **changes: Any) -> dict[str, Any]:
        answer = self.client.post("/generate/text-to-video", json=BODY | changes)
        assert answer.status_code == 202, answer.text
        job: dict[str, Any] = answer.json()
        return job

    def job(self, job_id: str) -> dict[str, Any]:
        found: dict[str, Any] = self.client.get(f"/jobs/{job_id}").raise_for_status().json()
        return found

    def claim(self, job_id: str) -> Job:
        """Claim a job. Those before it in its queue are claimed as well, and given back."""
        queue, before = self.store.get(job_id).queue, list[Job]()
        while (job := self.store.claim(queue, "worker-1")) and job.id != job_id:
            before.append(job)
        for other in before:
            self.store.release(other.lease)
        assert job is not None
        return job

    def progress(self, job: Job, step: int) -> None:
        self.store.heartbeat(job.lease, Progress("denoising", step, job.progress.steps))

    def finish(self, job_id: str, video: bytes = VIDEO) -> Job:
        """Claim a job, store its video and publish that."""
        return self.publish(self.claim(job_id), video)

    def publish(self, job: Job, video: bytes = VIDEO) -> Job:
        """Store the video of a claimed job, and end it."""
        key = f"{job.id}/1.mp4"
        source = self.videos / "made.mp4"
        source.write_bytes(video)
        self.parts.artifacts.put(key, source)
        return self.store.succeed(job.lease, result_of(key, video))

    def finished(self, video: bytes = VIDEO) -> str:
        """The id of a new job that has its video."""
        job_id: str = self.submit()["id"]
        self.finish(job_id, video)
        return job_id


class AttendedStore(RedisJobStore):
    """A store with somebody who does something about each new job."""

    def __init__(self, redis: Redis, attend: Callable[[Job], object]) -> None:
        super().__init__(redis, Policy())
        self._attend = attend

    def submit_all(self, news: Sequence[NewJob]) -> list[Job]:
        jobs = super().submit_all(news)
        for job in jobs:
            self._attend(job)
        return jobs


def result_of(key: str, video: bytes) -> dict[str, Any]:
    """What a worker writes down about a video."""
    return {
        "artifact": key,
        "size": len(video),
        "sha256": hashlib.sha256(video).hexdigest(),
        "width": 128,
        "height": 64,
        "frames": 17,
        "fps": 16,
        "metrics": {"denoise_seconds": 1.5},
    }


Serve = Callable[..., Gateway]


@contextmanager
def serving(parts: Parts, videos: Path) -> Iterator[Gateway]:
    """A gateway of these parts, started."""
    with TestClient(create_app(parts), raise_server_exceptions=False) as client:
        yield Gateway(parts, client, videos)


def unlimited() -> LimitStore:
    """A store that knows no limits."""

    class Unlimited(LimitStore):
        def __init__(self) -> None: ...

        def of(self, tenant: str) -> Limits | None:
            return None

    return Unlimited()


def parts_with(store: JobStore, videos: Path, *, feed: str | None = None, **changes: Any) -> Parts:
    """Parts around a store. ``feed`` is the Redis to hear of job events from. Nothing is cached."""
    tiny = InstalledModel("t2v-A14B", videos / "wan" / "t2v-A14B", tiny=True)
    models: Cached[Mapping[str, InstalledModel]] = Cached(lambda: {tiny.task: tiny}, 0)
    redis = store._redis if isinstance(store, RedisJobStore) else Redis(port=1)  # which nobody asks
    load = Load(store, CATALOG, fresh_seconds=0)
    outages = Outages()
    watch = changes.pop("watch", None) or Watch(store.get, RedisFeed(feed) if feed else None, outages=outages)
    artifacts = changes.get("artifacts") or LocalArtifactStore(videos / "artifacts")
    given: dict[str, Any] = {
        "artifacts": artifacts,
        "intake": open_intake(GatewaySettings(), artifacts),
        "models": models,
        "load": load,
        "watch": watch,
        "outages": outages,
        "follow": Follow(store, watch, load),
        "admissions": Admissions(load),
        "limiter": Limiter(unlimited(), Limits()),
        "webhooks": Webhooks(WebhookStore(redis), Outbound({"127.0.0.1"})),
        "access": Access(Keyring(MemoryKeyStore(), fresh_seconds=0), Anonymous.UNTIL_KEYS),
        "desk": open_desk(NeighbourSettings()),
    }
    return Parts(store=store, **(given | changes))


@pytest.fixture
def gateway(redis_url: str, tmp_path: Path) -> Iterator[Gateway]:
    """A gateway with a tiny text-to-video model installed."""
    redis = connect(redis_url)
    store = RedisJobStore(redis, Policy())
    with serving(parts_with(store, tmp_path, feed=redis_url), tmp_path) as gateway:
        yield gateway
    redis.close()
