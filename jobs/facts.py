"""What log lines about a job say of it."""

from __future__ import annotations

from jobs.state import Job


def facts_of(job: Job) -> dict[str, str]:
    """Whose job it is, which attempt was the last and whose, and what the job came from; empty is unknown."""
    return {
        "job": job.id,
        "attempt": str(job.attempt) if job.attempt else "",
        "worker": job.attempts[-1].worker if job.attempts else "",
        "tenant": job.tenant,
        "request_id": job.request_id,
        "trace_id": trace_id(job.traceparent),
    }


def trace_id(traceparent: str) -> str:
    """The trace that a traceparent of W3C Trace Context belongs to; empty for none."""
    return traceparent.split("-")[1] if traceparent else ""
