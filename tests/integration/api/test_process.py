"""``python -m api`` as an operator runs it: a process of its own, started, stopped and badly treated."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import IO

import httpx
import pytest
from redis import Redis
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect as open_socket

from jobs.artifacts_local import LocalArtifactStore
from jobs.keys_redis import RedisKeyStore
from jobs.policy import Policy
from jobs.store_redis import RedisJobStore, connect
from tests.integration.api.conftest import BODY, result_of
from tests.integration.api.keys import token

POST = b"POST /generate/text-to-video HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
LARGE = os.urandom(1024) * 32 * 1024  # more than a socket holds


@dataclass
class Process:
    """A running gateway; ``log`` is complete once the process has ended."""

    process: subprocess.Popen[str]
    url: str
    log: list[str]
    reader: Thread

    @property
    def address(self) -> tuple[str, int]:
        host, port = self.url.removeprefix("http://").split(":")
        return host, int(port)

    def terminate(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    def end(self) -> str:
        """Wait until it has ended by itself, and give its log."""
        self.process.wait()
        self.reader.join()
        return "".join(self.log)


def install_tiny(models_dir: Path) -> None:
    """The least that counts as an installed model."""
    model = models_dir / "wan" / "t2v-A14B"
    (model / "scheduler").mkdir(parents=True)
    (model / "model_index.json").write_text(json.dumps({"scheduler": ["diffusers", "Scheduler"]}))
    (model / "scheduler" / "scheduler_config.json").write_text("{}")
    (model / "wanserve.json").write_text(json.dumps({"tiny": True}))


@pytest.fixture
def process(redis_url: str, tmp_path: Path) -> Iterator[Process]:
    """A gateway process over the shared Redis, with a data directory of its own."""
    with running(redis_url, tmp_path) as process:
        yield process


@pytest.fixture
def impatient(redis_url: str, tmp_path: Path) -> Iterator[Process]:
    """One that waits for no body."""
    with running(redis_url, tmp_path, BODY_SECONDS="0.1") as process:
        yield process


@contextmanager
def running(redis_url: str, tmp_path: Path, **settings: str) -> Iterator[Process]:
    install_tiny(tmp_path / "models")
    ours = {"REDIS_URL": redis_url, "DATA_DIR": str(tmp_path), "PORT": "0", "HOST": "127.0.0.1"} | settings
    environment = os.environ | {"MODELS_DIR": "", "PUBLIC_URL": "", "LOG_LEVEL": "INFO"} | ours
    with subprocess.Popen(
        [sys.executable, "-m", "api"], env=environment, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr
        log: list[str] = []
        url = announced(process.stderr, log)
        reader = Thread(target=log.extend, args=[process.stderr])
        reader.start()
        yield Process(process, url, log, reader)
        process.terminate()
        reader.join()


def announced(stream: IO[str], log: list[str]) -> str:
    for line in stream:
        log.append(line)
        if found := re.search(r"http://127\.0\.0\.1:\d+", line):
            return found[0]
    pytest.fail(f"The gateway ended before it told its address:\n{''.join(log)}")


def stored_video(redis_url: str, data_dir: Path, content: bytes) -> str:
    """Make the newest job complete, and return the path of its video."""
    with connect(redis_url) as redis:
        store = RedisJobStore(redis, Policy())
        job_id = redis.zrange("wan:index:*:t2v-A14B:queued", -1, -1)[0].decode()
        job = store.claim("t2v-A14B", "worker-1")
        assert job is not None
        source = data_dir / "made.mp4"
        source.write_bytes(content)
        LocalArtifactStore(data_dir / "artifacts").put(f"{job_id}/1.mp4", source)
        store.succeed(job.lease, result_of(f"{job_id}/1.mp4", content))
        return f"/videos/{job_id}.mp4"


def test_the_gateway_is_imported_without_what_only_workers_need():
    heavy = ("torch", "diffusers", "transformers", "av", "celery", "numpy", "workers")
    program = f"import sys, api.app, api.__main__; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_wrong_setting_ends_the_process_with_its_name():
    environment = os.environ | {"PORT": "80000", "PUBLIC_URL": "example.org"}
    done = subprocess.run(
        [sys.executable, "-m", "api"], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert re.search("^  PORT: ", done.stderr, re.MULTILINE)
    assert re.search("^  PUBLIC_URL: ", done.stderr, re.MULTILINE)
    assert "Traceback" not in done.stderr


def test_told_to_stop_it_answers_those_who_wait_for_a_job(process, redis_url):
    with Redis.from_url(redis_url) as redis, redis.pubsub() as feed, ThreadPoolExecutor() as pool:
        feed.subscribe("wan:feed")
        next(feed.listen())
        url, patience = f"{process.url}/generate/text-to-video", {"prefer": "wait=60"}
        waiting = pool.submit(httpx.post, url, json=BODY, headers=patience, timeout=100)
        assert next(feed.listen())["data"].endswith(b" queued")
        process.terminate()
        answer = waiting.result()
    assert (answer.status_code, answer.json()["status"]) == (202, "queued")
    log = process.end()
    assert process.process.returncode in (0, -signal.SIGTERM)
    assert "Traceback" not in log


def test_told_to_stop_it_finishes_open_downloads(process, redis_url, tmp_path):
    httpx.post(f"{process.url}/generate/text-to-video", json=BODY).raise_for_status()
    path = stored_video(redis_url, tmp_path, LARGE)
    with httpx.stream("GET", process.url + path) as download:
        chunks = download.iter_raw()
        received = len(next(chunks))
        process.terminate()
        received += sum(map(len, chunks))
    assert received == len(LARGE)
    assert "Traceback" not in process.end()


def test_clients_that_hang_up_leave_no_mess(process, redis_url, tmp_path):
    httpx.post(f"{process.url}/generate/text-to-video", json=BODY).raise_for_status()
    path = stored_video(redis_url, tmp_path, LARGE)
    with httpx.stream("GET", process.url + path) as download:
        next(download.iter_raw())
    with socket.create_connection(process.address) as half:
        half.sendall(POST + b"Content-Length: 100\r\n\r\n{")
    assert httpx.get(f"{process.url}/health").status_code == 200
    process.terminate()
    assert "Traceback" not in process.end()


def test_a_body_without_end_is_cut_off(process):
    chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
    with socket.create_connection(process.address) as upload:
        upload.sendall(POST + b"Transfer-Encoding: chunked\r\n\r\n")
        for _ in range(17):
            upload.sendall(chunk)
        assert upload.recv(1000).startswith(b"HTTP/1.1 413 ")
    assert httpx.get(f"{process.url}/jobs").json()["jobs"] == []


@pytest.mark.parametrize(
    "nonsense",
    [b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00\r\n\r\n", b"GET /\xff HTTP/1.1\r\nHost: x\r\n\r\n"],
)
def test_what_is_no_request_is_answered_with_a_problem(process, nonsense):
    with socket.create_connection(process.address) as client:
        client.sendall(nonsense)
        answer = client.makefile("rb").read()
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert b"content-type: application/problem+json" in head
    assert b"x-content-type-options: nosniff" in head
    assert json.loads(body)["error_type"] == "malformed_request"


@pytest.mark.parametrize("length", [b"-1", b"x", b"1, 2", b"9" * 50, "²".encode()])
def test_a_content_length_that_is_none_is_refused(process, length):
    with socket.create_connection(process.address) as client:
        client.sendall(POST + b"Content-Length: " + length + b"\r\n\r\n{}")
        client.shutdown(socket.SHUT_WR)
        status = client.recv(1000)[:12]
    assert status.startswith(b"HTTP/1.1 4")


def test_a_link_begins_with_the_address_that_the_client_used(process, redis_url, tmp_path):
    httpx.post(f"{process.url}/generate/text-to-video", json=BODY).raise_for_status()
    path = stored_video(redis_url, tmp_path, b"a video")
    job = httpx.get(f"{process.url}/jobs", headers={"host": "videos:8443"}).json()["jobs"][0]
    assert job["video_url"] == f"http://videos:8443{path}"


@pytest.mark.parametrize(
    "declared",
    [
        b"application/json\r\nContent-Length: 100",
        b"application/json\r\nTransfer-Encoding: chunked",
        b"multipart/form-data; boundary=x\r\nContent-Length: 100",
    ],
)
def test_a_body_that_never_ends_is_answered_and_the_connection_closed(impatient, declared):
    head = b"POST /generate/image-to-video HTTP/1.1\r\nHost: x\r\nContent-Type: " + declared + b"\r\n\r\n"
    with socket.create_connection(impatient.address) as client:
        client.sendall(head + (b"1\r\n{\r\n" if b"chunked" in declared else b"--x"))
        answer = b""
        while chunk := client.recv(4096):
            answer += chunk
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"body_too_slow" in answer


def test_a_denied_websocket_is_no_error_of_ours(process):
    with pytest.raises(InvalidStatus) as denied:
        open_socket(f"{process.url.replace('http', 'ws')}/ws/jobs/nonsense")
    assert denied.value.response.status_code == 404
    process.terminate()
    assert '"level": "error"' not in process.end()


def test_the_log_names_the_request_and_tells_neither_keys_nor_prompts(redis_url, tmp_path):
    with Redis.from_url(redis_url) as redis:
        secret = token(RedisKeyStore(redis), "acme")
    headers = {"authorization": f"Bearer {secret}", "x-request-id": "r-17"}
    with running(redis_url, tmp_path, LOG_LEVEL="DEBUG", LOG_FORMAT="json") as gateway:
        answer = httpx.post(f"{gateway.url}/generate/text-to-video", json=BODY, headers=headers)
        job_id = answer.raise_for_status().json()["id"]
        address = gateway.url.replace("http", "ws", 1) + f"/ws/jobs/{job_id}"
        with open_socket(address, additional_headers=headers) as events:
            assert job_id in str(events.recv())
        httpx.post(f"{gateway.url}/jobs/{job_id}/cancel", headers=headers).raise_for_status()
        gateway.terminate()
        log = gateway.end()
    assert secret.rpartition("_")[2] not in log
    assert str(BODY["prompt"]) not in log
    lines = [json.loads(line) for line in log.splitlines()]
    told = {line["message"]: line for line in lines if line.get("job") == job_id}
    assert set(told) == {"Queued for t2v-A14B", "A cancel was asked for, the job is cancelled"}
    assert {(line["tenant"], line["request_id"]) for line in told.values()} == {("acme", "r-17")}


def test_the_log_quotes_prompts_where_it_may(redis_url, tmp_path):
    with running(redis_url, tmp_path, LOG_PROMPTS="true") as gateway:
        httpx.post(f"{gateway.url}/generate/text-to-video", json=BODY).raise_for_status()
        gateway.terminate()
        log = gateway.end()
    (line,) = (line for line in map(json.loads, log.splitlines()) if "prompt" in line)
    assert (line["message"], line["prompt"]) == ("Queued for t2v-A14B", BODY["prompt"])


def test_a_handshake_that_is_none_is_refused_with_a_problem(process):
    with socket.create_connection(process.address) as client:
        client.sendall(b"GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
        answer = b"".join(iter(lambda: client.recv(4096), b""))
    assert answer.startswith(b"HTTP/1.1 400 ")
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.lower().count(b"content-type: application/problem+json") == 1
    assert b"missing Sec-WebSocket-Key" in body
    assert json.loads(body)["status"] == 400
