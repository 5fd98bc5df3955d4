"""What deploy/ holds is what it says."""

import re
import socket
import subprocess
import sys
import tomllib
from contextlib import closing
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from redis import Redis
from redis.backoff import ConstantBackoff
from redis.retry import Retry

from jobs import embedded

DEPLOY = Path(__file__).parent.parent.parent / "deploy"


def test_a_redis_of_ones_own_starts_with_our_configuration_and_is_durable(tmp_path):
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command: list[str | Path] = [
        embedded._server_binary(),
        DEPLOY / "redis.conf",
        "--port",
        str(port),
        "--dir",
        str(tmp_path),
    ]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        try:
            retry = Retry(ConstantBackoff(0.1), retries=100)
            with Redis(port=port, retry=retry, decode_responses=True) as client:
                found = client.config_get("appendonly", "appendfsync", "maxmemory-policy")
        finally:
            process.terminate()
    assert found == {"appendonly": "yes", "appendfsync": "everysec", "maxmemory-policy": "noeviction"}


@pytest.mark.parametrize("image", ["gateway", "wan"])
def test_every_package_of_ours_reaches_the_images(image):
    project = tomllib.loads((DEPLOY.parent / "pyproject.toml").read_text())
    packages = [name.rstrip("*") for name in project["tool"]["setuptools"]["packages"]["find"]["include"]]
    sent = (DEPLOY.parent / ".dockerignore").read_text().splitlines()
    steps = (DEPLOY / f"Dockerfile.{image}").read_text().splitlines()
    assert len(packages) > 5
    for package in packages:
        assert f"!{package}" in sent
        assert f"COPY {package} {package}" in steps


def test_looking_at_a_gateways_health_loads_nothing_of_the_service():
    program = "import sys, scripts.healthcheck; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", program], cwd=DEPLOY.parent, stdout=subprocess.PIPE, text=True, check=True
    ).stdout.split()
    assert "scripts.healthcheck" in loaded
    assert not {"boto3", "jobs", "pydantic", "redis"}.intersection(loaded)


def test_maintenance_and_webhooks_need_nothing_that_the_gateways_image_lacks():
    extras = tomllib.loads((DEPLOY.parent / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    gateway, worker = ({_distribution(line) for line in extras[name]} for name in ("gateway", "worker"))
    lacking = {
        module
        for module, distributions in packages_distributions().items()
        if {name.lower() for name in distributions} <= worker - gateway
    }
    assert {"torch", "diffusers"} <= lacking
    program = "import sys, workers.__main__, workers.deliver; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", program], cwd=DEPLOY.parent, stdout=subprocess.PIPE, text=True, check=True
    ).stdout.split()
    assert "workers.deliver" in loaded
    assert not lacking.intersection(loaded)


def _distribution(requirement: str) -> str:
    return re.split("[=<>]", requirement)[0]
