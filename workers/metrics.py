"""What Prometheus is told of the attempts that the workers of this machine made."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from jobs.state import Attempt, Job, JobState

_MINUTES = (1, 5, 15, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400)
_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30, 60, 120, 300)
_MEASURED = {
    "seconds_per_step": "wanserve_step_seconds",
    "encode_seconds": "wanserve_encode_seconds",
    "upload_seconds": "wanserve_upload_seconds",
}
# A rate misses a counter's first step unless it was told before: all are, and of the outcomes these.
_WATCHED = ("completed", "worker_lost", "device_fault", "artifact_store_unavailable")


class AttemptMetrics(Collector):
    """Counts attempts as they end, and how long they and their parts took.

    Args:
        host: the machine in the names of its workers; the attempts of others are theirs to count.
        queues: those whose counters are told from the start.
    """

    def __init__(self, host: str, queues: Sequence[str] = ()) -> None:
        self._at_host = f"@{host}"
        self._queues = queues
        self._registry = CollectorRegistry()
        self._attempts = Counter(
            "wanserve_attempts",
            "Attempts that ended: completed, cancelled, released, or the code of their error.",
            ["queue", "outcome"],
            registry=self._registry,
        )
        for queue in queues:
            for outcome in _WATCHED:
                self._attempts.labels(queue, outcome)
        self._retries = self._counter("wanserve_retries", "Attempts that failed and are followed by another.")
        self._rescues = self._counter(
            "wanserve_rescues", "Jobs of any machine that were rescued here, their worker having gone silent."
        )
        self._loads = self._counter("wanserve_model_loads", "Models that jobs had to wait for.")
        self._evictions = self._counter("wanserve_model_evictions", "Models that went to make room for them.")
        self._load = self._histogram(
            "wanserve_model_load_seconds", "Of those models, all of a job's.", _SECONDS
        )
        self._wait = self._histogram("wanserve_wait_seconds", "From submit to the first claim.", _MINUTES)
        self._run = self._histogram("wanserve_run_seconds", "From the claim to the end.", _MINUTES)
        self._measured = {
            name: self._histogram(metric, f"`{name}` of completed jobs.", _SECONDS)
            for name, metric in _MEASURED.items()
        }

    def collect(self) -> Iterator[Metric]:
        """See Collector."""
        yield from self._registry.collect()

    def observe(self, job: Job) -> None:
        """Count the attempt whose end made the job what it is, if one did, and if it was made here."""
        attempt = _just_ended(job)
        if attempt is None or attempt.ended_at is None or not attempt.worker.endswith(self._at_host):
            return
        self._attempts.labels(job.queue, _outcome(job, attempt)).inc()
        self._run.labels(job.queue).observe(attempt.ended_at - attempt.started_at)
        if attempt.number == 1:
            self._wait.labels(job.queue).observe(attempt.started_at - job.created_at)
        if attempt.error and job.state is JobState.QUEUED:
            self._retries.labels(job.queue).inc()
        measured = (job.result or {}).get("metrics", {})
        self._evictions.labels(job.queue).inc(measured.get("models_evicted", 0))
        if loaded := measured.get("models_loaded"):
            self._loads.labels(job.queue).inc(loaded)
            self._load.labels(job.queue).observe(measured["load_seconds"])
        for name, histogram in self._measured.items():
            if (seconds := measured.get(name)) is not None:
                histogram.labels(job.queue).observe(seconds)

    def rescued(self, job: Job) -> None:
        """Count a job that this machine's maintenance rescued, whosever it was."""
        self._rescues.labels(job.queue).inc()

    def _counter(self, name: str, meaning: str) -> Counter:
        counter = Counter(name, meaning, ["queue"], registry=self._registry)
        for queue in self._queues:
            counter.labels(queue)
        return counter

    def _histogram(self, name: str, meaning: str, buckets: tuple[float, ...]) -> Histogram:
        histogram = Histogram(name, meaning, ["queue"], registry=self._registry, buckets=buckets)
        for queue in self._queues:
            histogram.labels(queue)
        return histogram


def _just_ended(job: Job) -> Attempt | None:
    """The attempt that the job's latest transition ended; none where it ended otherwise, or began."""
    ended = [attempt for attempt in job.attempts if attempt.ended_at is not None]
    if not ended:
        return None
    by_it = job.finished_at is None or ended[-1].ended_at == job.finished_at
    return ended[-1] if by_it else None


def _outcome(job: Job, attempt: Attempt) -> str:
    if attempt.error:
        return attempt.error.code
    return job.state if job.state.is_final else "released"
