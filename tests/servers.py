"""Real servers for tests: one that speaks Redis, two that speak S3. Child processes, on free ports."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sysconfig
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO
from uuid import uuid4

import pytest
from boto3.session import Session
from redis import Redis

from jobs.artifacts_s3 import S3ArtifactStore
from jobs.embedded import EmbeddedRedis

PROGRAMS = Path(sysconfig.get_path("scripts"))


@dataclass(frozen=True, kw_only=True)
class S3Account:
    """A running S3 server, an account on it, and a bucket that exists there."""

    endpoint: str
    bucket: str
    access_key: str
    secret_key: str
    region: str = "us-east-1"

    @property
    def environment(self) -> dict[str, str]:
        """The settings that point the service at this bucket."""
        return {
            "S3_ENDPOINT": self.endpoint,
            "S3_BUCKET": self.bucket,
            "S3_REGION": self.region,
            "S3_ACCESS_KEY": self.access_key,
            "S3_SECRET_KEY": self.secret_key,
        }

    def store(self) -> S3ArtifactStore:
        """The bucket as an artifact store."""
        return S3ArtifactStore.connect(
            self.bucket,
            endpoint=self.endpoint,
            region=self.region,
            access_key=self.access_key,
            secret_key=self.secret_key,
        )

    def with_fresh_bucket(self) -> S3Account:
        """The same account with an empty bucket, made now."""
        bucket = f"videos-{uuid4().hex[:8]}"
        client = Session().client(
            "s3",
            endpoint_url=self.endpoint,
            region_name=self.region,
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
        )
        client.create_bucket(Bucket=bucket)
        client.close()
        return replace(self, bucket=bucket)


def end(process: subprocess.Popen[bytes], patience_seconds: float) -> int:
    """End a process as an operator does, and give its status. Nothing is left of one that takes too long."""
    process.terminate()
    try:
        return process.wait(patience_seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise


@contextmanager
def serving(*command: str | Path) -> Iterator[str]:
    """Run a server that announces its URL on standard error, and yield that; end it afterwards."""
    environment = {**os.environ, "RCLONE_CONFIG": ""}  # not the developer's own
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stderr
        url = _announced(process.stderr)
        # A server whose log nobody reads stands still once the pipe is full.
        reader = threading.Thread(target=process.stderr.read)
        reader.start()
        try:
            yield url
        finally:
            process.terminate()
            reader.join()


def _announced(log: IO[str]) -> str:
    lines: list[str] = []
    for line in log:
        lines.append(line)
        if found := re.search(r"http://127\.0\.0\.1:\d+", line):
            return found[0]
    pytest.fail(f"The server ended before it told its address:\n{''.join(lines)}")


@contextmanager
def rclone_serving(directory: Path) -> Iterator[S3Account]:
    """Rclone's S3 server over a directory: it checks signatures and expiry, and answers ranges with 200."""
    access_key, secret_key = "test-access-key", f"secret-{uuid4().hex}"
    command = ("serve", "s3", "--addr", "127.0.0.1:0", "--auth-key", f"{access_key},{secret_key}", directory)
    with serving(PROGRAMS / "rclone", *command) as endpoint:
        account = S3Account(endpoint=endpoint, bucket="", access_key=access_key, secret_key=secret_key)
        yield account.with_fresh_bucket()


@pytest.fixture(scope="session")
def rclone_s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Account]:
    """An S3 server that checks signatures, with a fresh bucket."""
    with rclone_serving(tmp_path_factory.mktemp("rclone")) as account:
        yield account


@pytest.fixture(scope="session")
def moto_s3() -> Iterator[S3Account]:
    """An S3 server that answers ranges with 206 and takes any signature, with a fresh bucket."""
    with serving(PROGRAMS / "moto_server", "-H", "127.0.0.1", "-p", "0") as endpoint:
        account = S3Account(endpoint=endpoint, bucket="", access_key="any", secret_key="any")
        yield account.with_fresh_bucket()


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a fresh embedded server that all tests of this process share."""
    with EmbeddedRedis(tmp_path_factory.mktemp("redis")) as server:
        yield server.url


@pytest.fixture
def redis_url(redis_server: str) -> str:
    """The shared server, emptied."""
    with Redis.from_url(redis_server) as client:
        client.flushall()
    return redis_server


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that something else listens on, and never answers."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        yield other.getsockname()[1]
