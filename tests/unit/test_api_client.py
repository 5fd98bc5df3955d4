"""How the command line follows a job: what passes is waited for, and what does not is told at once."""

from collections.abc import Iterable
from typing import Any

import click
import httpx
import pytest
from click.testing import CliRunner

from scripts.cli import api_client
from scripts.cli.api_client import ApiClient
from scripts.cli.jobs import jobs
from tests.unit.worker_parts import Clock

DONE = httpx.Response(200, json={"id": "job_1", "status": "completed"})


@pytest.fixture
def clock(monkeypatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(api_client, "time", clock)
    return clock


def client_of(answers: Iterable[Any]) -> ApiClient:
    """A client of a service that gives these answers; an exception is no answer."""
    left = iter(answers)

    def answer(_: httpx.Request) -> httpx.Response:
        one = next(left)
        if isinstance(one, Exception):
            raise one
        assert isinstance(one, httpx.Response)
        return one

    client = ApiClient("http://service", None)
    client._http = httpx.Client(base_url="http://service", transport=httpx.MockTransport(answer))
    return client


@pytest.mark.parametrize(
    "passing", [httpx.ConnectError("away"), httpx.Response(503), httpx.Response(502), httpx.Response(429)]
)
def test_a_service_that_is_away_or_busy_is_asked_again(clock, passing):
    assert [job["status"] for job in client_of([passing, passing, DONE]).follow("job_1")] == ["completed"]


def test_but_not_for_ever(clock):
    began = clock.time
    with pytest.raises(click.ClickException, match="503"):
        list(client_of(httpx.Response(503) for _ in range(1000)).follow("job_1"))
    assert 60 < clock.time - began < 70


@pytest.mark.parametrize("status", [401, 403, 404, 422])
def test_what_will_not_pass_is_told_at_once(clock, status):
    began = clock.time
    problem = httpx.Response(status, json={"detail": "There is no job job_1."})
    with pytest.raises(click.ClickException, match="There is no job job_1"):
        list(client_of([problem]).follow("job_1"))
    assert clock.time == began


def test_a_fault_that_the_service_has_put_into_words_is_not_repeated():
    faults = [{"field": "task", "message": "There is no task 'x'."}, {"field": "size", "message": "Too big."}]
    problem = httpx.Response(422, json={"detail": "There is no task 'x'.", "errors": faults})
    with pytest.raises(click.ClickException) as refused:
        client_of([problem]).request("POST", "/generate/text-to-video")
    assert refused.value.message.splitlines() == ["There is no task 'x'.", "  size: Too big."]


def test_who_comes_without_a_key_is_told_how_to_name_one():
    with pytest.raises(click.ClickException, match="--key or WANSERVE_API_KEY"):
        client_of([httpx.Response(401, json={"detail": "Send your API key."})]).request("GET", "/jobs")


def test_jobs_are_listed_whole_however_narrow_the_terminal(monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    job: dict[str, Any] = {
        "id": "job_01m841tz79b74c3p14bqd55sfm",
        "task": "animate-14B",
        "status": "in_progress",
    }
    job |= {"progress": 40, "attempt": 1, "created_at": "2027-03-01T12:30:59Z"}
    listed = CliRunner().invoke(jobs, obj=client_of([httpx.Response(200, json={"jobs": [job]})]))
    heads, row = listed.output.splitlines()
    assert heads.endswith("created (UTC)")
    assert row.split() == [job["id"], "animate-14B", "in_progress", "40", "%", "1", "2027-03-01", "12:30"]
