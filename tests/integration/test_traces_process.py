"""One trace from a client's request to the webhook about it, through all the processes in between."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from jobs.embedded import EmbeddedRedis
from tests.collector import Collector, Received, collecting
from tests.integration.test_front import process, until_answering
from tests.integration.worker_processes import Workers
from tests.receiver import Receiver, receiving

pytestmark = pytest.mark.slow

TRACE, CLIENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
SERVER, INTERNAL, CALLER, CONSUMER = 2, 1, 3, 5  # as OTLP counts kinds
PROMPT = "a cat that nobody may hear of"
BODY = {"prompt": PROMPT, "size": "64*64", "frame_num": 5, "sample_steps": 2}
REQUEST = "POST /generate/text-to-video"
NAMES = {
    REQUEST,
    *("submit", "queue", "claim", "run", "load", "generate"),
    *("finish", "encode", "store", "publish", "webhook"),
}


class Service:
    """A gateway and workers, whose traces go to a collector and whose webhooks to a receiver."""

    def __init__(self, url: str, workers: Workers, collector: Collector, receiver: Receiver) -> None:
        self.url, self.workers, self.collector, self.receiver = url, workers, collector, receiver

    def submit(self, **headers: str) -> str:
        """Ask for a video and for a webhook about its end; gives the job's id."""
        body = BODY | {"webhook_url": f"{self.receiver.url}/ok"}
        answer = httpx.post(f"{self.url}/generate/text-to-video", json=body, headers=headers)
        job_id: str = answer.raise_for_status().json()["id"]
        return job_id


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, models_dir: Path) -> Iterator[Service]:
    data = tmp_path_factory.mktemp("traces")
    with ExitStack() as stack:
        redis = stack.enter_context(EmbeddedRedis(data / "redis"))
        collector, receiver = stack.enter_context(collecting()), stack.enter_context(receiving())
        settings = {"WEBHOOK_PRIVATE_HOSTS": "127.0.0.1", **collector.environment}
        here = {"DATA_DIR": str(data), "REDIS_URL": redis.url, "MODELS_DIR": str(models_dir)}
        log = data / "gateway.log"
        url, _ = stack.enter_context(process("api", log, **here, **settings))
        until_answering(f"{url}/health/live", log)
        workers = Workers(redis.url, data, models_dir, **settings)
        stack.callback(workers.close)
        yield Service(url, workers, collector, receiver)


def parents(spans: dict[str, Received]) -> dict[str, str]:
    """The name of each span's parent; the client's is told as such."""
    names = {span.span_id: span.name for span in spans.values()} | {CLIENT: "the client"}
    return {span.name: names[span.parent_id] for span in spans.values()}


def test_a_job_is_one_trace_from_the_request_to_the_webhook(service):
    job_id = service.submit(traceparent=f"00-{TRACE}-{CLIENT}-01", **{"x-request-id": "r-1"})
    message = service.receiver.next()
    spans = service.collector.of(TRACE, NAMES)
    assert spans.keys() == NAMES
    in_run, in_finish = (
        dict.fromkeys(("load", "generate"), "run"),
        dict.fromkeys(("encode", "store", "publish"), "finish"),
    )
    of_request = dict.fromkeys(("submit", "queue", "claim", "run", "finish", "webhook"), REQUEST)
    assert parents(spans) == {REQUEST: "the client", **of_request, **in_run, **in_finish}
    for child, parent in {"submit": REQUEST, **in_run, **in_finish}.items():
        assert spans[parent].start <= spans[child].start <= spans[child].end <= spans[parent].end, child
    order = ("queue", "run", "finish", "webhook")
    assert sorted(order, key=lambda name: spans[name].end) == list(order)
    kinds = {name: span.kind for name, span in spans.items() if span.kind != INTERNAL}
    assert kinds == {REQUEST: SERVER, "run": CONSUMER, "webhook": CALLER}
    assert {span.service for span in spans.values()} == {
        "wanserve-gateway",
        "wanserve-worker",
        "wanserve-deliverer",
    }
    assert message.headers["traceparent"] == f"00-{TRACE}-{spans['webhook'].span_id}-01"
    assert message.headers["x-request-id"] == "r-1"
    assert not any(span.failed for span in spans.values())
    for name in NAMES - {REQUEST}:
        assert spans[name].about["wanserve.job"] == job_id, name
        assert spans[name].about["wanserve.request_id"] == "r-1", name
    assert spans["run"].about["wanserve.attempt"] == "1"
    assert spans["webhook"].about["http.response.status_code"] == 200


def test_no_span_tells_a_prompt_or_more_than_a_little(service):
    answer = httpx.get(
        f"{service.url}/jobs/{'x' * 2000}", headers={"traceparent": f"00-{'1' * 32}-{CLIENT}-01"}
    )
    assert answer.status_code == 404
    service.collector.of("1" * 32, {"GET /jobs/{job_id}"})
    service.submit(traceparent=f"00-{'2' * 32}-{CLIENT}-01")
    spans = service.collector.of("2" * 32, NAMES)
    assert all(span.about.keys() for span in spans.values())
    assert not any(PROMPT.encode() in request for request in service.collector.raw)
    longest = max(len(str(value)) for span in service.collector.spans for value in span.about.values())
    assert longest <= 256


def test_a_request_of_no_trace_begins_one(service):
    job_id = service.submit()
    trace_id = service.workers.finished(job_id).request_id  # as the request had no id of its own
    spans = service.collector.of(trace_id, NAMES)
    assert spans[REQUEST].parent_id == ""
    assert spans["run"].about["wanserve.job"] == job_id


def test_a_client_that_wants_no_trace_gets_none(service):
    trace = "3" * 32
    job_id = service.submit(traceparent=f"00-{trace}-{CLIENT}-00")
    job = service.workers.finished(job_id)
    assert job.request_id == trace
    service.submit(traceparent=f"00-{'4' * 32}-{CLIENT}-01")
    service.collector.of("4" * 32, NAMES)
    assert not [span for span in service.collector.spans if span.trace_id == trace]


def test_probes_leave_no_spans(service):
    trace = f"00-{'5' * 32}-{CLIENT}-01"
    httpx.get(f"{service.url}/health/live", headers={"traceparent": trace}).raise_for_status()
    httpx.get(f"{service.url}/health", headers={"traceparent": trace}).raise_for_status()
    assert service.collector.of("5" * 32, {"GET /health"}).keys() == {"GET /health"}


def started(**environment: str) -> str:
    """What a process says that opens traces without the extra, and makes a span."""
    program = """
import sys
for name in ("opentelemetry.sdk", "opentelemetry.exporter"):
    sys.modules[name] = None
from telemetry.logs import configure_logging
from telemetry.settings import LogSettings
from telemetry.traces import open_traces
configure_logging(LogSettings(), "test")
traces = open_traces("test")
with traces.continuing("x"), traces.span("work") as span:
    span.tell(a=1)
print(traces.provider, repr(span.traceparent))
"""
    variables: dict[str, Any] = {**os.environ, "OTEL_EXPORTER_OTLP_ENDPOINT": "", **environment}
    done = subprocess.run(
        [sys.executable, "-c", program], env=variables, capture_output=True, text=True, check=True
    )
    assert done.stdout == "None ''\n"
    return done.stderr


def test_without_the_extra_a_process_says_what_to_install_and_goes_on():
    said = started(OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:1")
    assert "OTEL_EXPORTER_OTLP_ENDPOINT is set, but there will be no traces" in said
    assert "pip install 'wanserve[traces]'" in said


def test_nothing_is_said_where_no_traces_are_asked_for():
    assert started() == ""
    assert started(OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:1", OTEL_SDK_DISABLED="true") == ""
