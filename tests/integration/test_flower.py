"""Flower as an operator runs it: a process, asked over HTTP."""

import os
import subprocess
import sys
import time
from contextlib import contextmanager

import httpx
import pytest

from jobs.embedded import broker_url
from tests.e2e.conftest import free_port, running_service
from tests.servers import end
from workers.celery_app import create_celery

PATIENCE_SECONDS = 120.0
JOB = "job_01JD0000000000000000000000"


def environment(redis_url, tmp_path, **more):
    return os.environ | {"REDIS_URL": redis_url, "DATA_DIR": str(tmp_path), "LOG_LEVEL": "INFO"} | more


def until(found):
    give_up_at = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < give_up_at:
        try:
            if answer := found():
                return answer
        except httpx.TransportError:
            pass
        time.sleep(0.05)
    return pytest.fail("waited in vain")


@contextmanager
def flower(redis_url, tmp_path, **more):
    """A running Flower, and its address."""
    port = free_port()
    variables = environment(redis_url, tmp_path, FLOWER_PORT=str(port), **more)
    with (tmp_path / "flower.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "scripts.flower"], env=variables, stdout=log, stderr=log
        )
    try:
        until(lambda: httpx.get(f"http://127.0.0.1:{port}/healthcheck").is_success)
        yield f"http://127.0.0.1:{port}"
    finally:
        end(process, PATIENCE_SECONDS)


def tell_of_a_task(redis_url):
    """What a worker says about a message that it received."""
    app = create_celery(broker_url(redis_url), ["t2v-A14B"], print)
    with app.connection_for_write() as connection, app.events.Dispatcher(connection) as events:
        events.send("worker-online")
        events.send(
            "task-received", uuid=JOB, name="wanserve.generate", args="('t2v-A14B',)", kwargs="{}", retries=0
        )


@pytest.mark.slow
def test_it_shows_tasks_to_those_who_know_the_password_changes_nothing_and_remembers(redis_url, tmp_path):
    secret = {"FLOWER_BASIC_AUTH": "ops:hush", "FLOWER_ADDRESS": "0.0.0.0"}
    with flower(redis_url, tmp_path, **secret) as url:
        assert httpx.get(f"{url}/tasks").status_code == 401
        assert httpx.get(f"{url}/workers", auth=("ops", "wrong")).status_code == 401
        with httpx.Client(base_url=url, auth=("ops", "hush")) as client:

            def listed():
                tell_of_a_task(redis_url)  # events are lost on whoever does not listen yet
                return JOB in client.get("/api/tasks").json()

            until(listed)
            assert client.post(f"/api/task/revoke/{JOB}").status_code == 403
            assert client.post("/api/worker/shutdown/any").status_code == 403
    assert "hush" not in (tmp_path / "flower.log").read_text()
    with flower(redis_url, tmp_path, **secret) as url:
        assert JOB in httpx.get(f"{url}/api/tasks", auth=("ops", "hush")).json()


@pytest.mark.slow
def test_it_runs_beside_a_service_that_is_told_its_port_and_ends_with_it(tmp_path):
    url = f"http://127.0.0.1:{(port := free_port())}"
    with running_service(tmp_path / "data", FLOWER_PORT=str(port)) as service:
        job_id = service.submit()["id"]
        until(lambda: httpx.get(f"{url}/healthcheck").is_success)
        assert service.finished(job_id)["status"] == "completed"
        online = until(
            lambda: [one for one in httpx.get(f"{url}/workers?json=1").json()["data"] if one["status"]]
        )
        assert online[0]["hostname"].startswith("cpu@")
    with pytest.raises(httpx.ConnectError):
        httpx.get(url)


def test_a_service_whose_flower_everybody_could_see_does_not_start(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "scripts.serve"],
        env=environment("", tmp_path, FLOWER_PORT="5555", FLOWER_ADDRESS="0.0.0.0"),
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    assert done.returncode == 1
    assert "Set FLOWER_BASIC_AUTH=name:password as well" in done.stderr


def test_it_says_in_a_line_that_its_port_is_taken(redis_url, tmp_path, taken):
    done = subprocess.run(
        [sys.executable, "-m", "scripts.flower"],
        env=environment(redis_url, tmp_path, FLOWER_PORT=str(taken)),
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr == (
        f"Cannot listen on 127.0.0.1:{taken} for Flower (Address already in use): set another FLOWER_PORT.\n"
    )


@pytest.mark.parametrize(
    ("variables", "what"),
    [
        ({"FLOWER_ADDRESS": "0.0.0.0"}, "Set FLOWER_BASIC_AUTH=name:password as well"),
        ({"FLOWER_ADDRESS": "0.0.0.0", "FLOWER_BASIC_AUTH": "hush"}, "write name:password"),
        ({"FLOWER_ADDRESS": "0.0.0.0", "FLOWER_BASIC_AUTH": "hush:"}, "write name:password"),
    ],
)
def test_it_does_not_start_where_everybody_could_look(redis_url, tmp_path, variables, what):
    done = subprocess.run(
        [sys.executable, "-m", "scripts.flower"],
        env=environment(redis_url, tmp_path, **variables),
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    assert done.returncode == 1
    assert what in done.stderr
    assert "hush" not in done.stderr
