"""What Prometheus is told of the queues and the stores, asked for whenever it comes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from jobs.artifacts import ArtifactStore
from jobs.disks import Disks
from jobs.errors import JobsError
from jobs.state import JobFilter, JobState
from jobs.store import JobStore
from jobs.webhook_store import WebhookStore


class MetricsPortError(JobsError):
    """Prometheus cannot be answered. The message says why."""


@contextmanager
def serving(host: str, port: int | None, *collectors: Collector) -> Iterator[None]:
    """Answer ``/metrics`` on a port of its own for as long as the context lasts; not at all without a port.

    Raises:
        MetricsPortError: the port is taken.
    """
    if port is None:
        yield
        return
    registry = CollectorRegistry()
    for collector in collectors:
        registry.register(collector)
    try:
        server, thread = start_http_server(port, addr=host, registry=registry)
    except OSError as error:
        raise MetricsPortError(f"METRICS_PORT {port} cannot be used: {error.strerror}.") from error
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class DiskMetrics(Collector):
    """The room on this machine's disks, and how much of it is to stay free."""

    def __init__(self, disks: Disks) -> None:
        self._disks = disks

    def collect(self) -> Iterator[Metric]:
        """See Collector."""
        free = GaugeMetricFamily("wanserve_disk_free_bytes", "Room on the disk.", labels=["disk"])
        for name, left in self._disks.free().items():
            free.add_metric([name], left)
        reserve = GaugeMetricFamily("wanserve_disk_reserve_bytes", "With less room, no work is taken on.")
        reserve.add_metric([], self._disks.reserve)
        yield from (free, reserve)


class StoreMetrics(Collector):
    """Queues, workers, webhooks and whether both stores answer: the same from whichever process tells it.

    While a store is away, ``wanserve_store_up`` says so, and what it would have told is left out.

    Args:
        store: the job records.
        webhooks: the deliveries.
        artifacts: the files.
        queues: the names of the queues, which become labels.
    """

    def __init__(
        self, store: JobStore, webhooks: WebhookStore, artifacts: ArtifactStore, queues: Sequence[str]
    ) -> None:
        self._store = store
        self._webhooks = webhooks
        self._artifacts = artifacts
        self._queues = queues

    def collect(self) -> Iterator[Metric]:
        """See Collector."""
        up = GaugeMetricFamily("wanserve_store_up", "Whether the store answers.", labels=["store"])
        took = GaugeMetricFamily("wanserve_store_seconds", "How long it took to answer.", labels=["store"])
        told: list[Metric] = []
        checks: dict[str, Callable[[], object]] = {
            "redis": lambda: told.extend(self._told()),
            "artifacts": self._artifacts.ping,
        }
        for name, check in checks.items():
            start = time.perf_counter()
            try:
                check()
            except JobsError:
                up.add_metric([name], 0)
            else:
                up.add_metric([name], 1)
                took.add_metric([name], time.perf_counter() - start)
        yield from (up, took, *told)

    def describe(self) -> Iterator[Metric]:
        """Nothing: registering must not ask the stores."""
        return iter(())

    def _told(self) -> list[Metric]:
        jobs = GaugeMetricFamily("wanserve_jobs", "Jobs that have a record.", labels=["queue", "state"])
        oldest = GaugeMetricFamily(
            "wanserve_oldest_queued_seconds", "Age of the oldest queued job, 0 for none.", labels=["queue"]
        )
        workers = GaugeMetricFamily(
            "wanserve_workers", "Workers heard of lately that take jobs.", labels=["queue"]
        )
        now, alive = self._store.now(), self._store.workers()
        for queue in self._queues:
            for state in JobState:
                jobs.add_metric([queue, state], self._store.count(JobFilter(queue=queue, state=state)))
            waiting = JobFilter(queue=queue, state=JobState.QUEUED)
            first = self._store.find(waiting, 1, oldest_first=True)
            oldest.add_metric([queue], max(0.0, now - first[0].created_at) if first else 0)
            workers.add_metric([queue], sum(queue in worker.taken for worker in alive))
        return [jobs, oldest, workers, self._deliveries()]

    def _deliveries(self) -> Metric:
        attempts = CounterMetricFamily(
            "wanserve_webhook_attempts", "Attempts to deliver webhooks.", labels=["verdict"]
        )
        for verdict, count in self._webhooks.totals().items():
            attempts.add_metric([verdict], count)
        return attempts
