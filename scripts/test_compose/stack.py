"""The compose project, by whichever engine this machine has."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from scripts.test_compose.bases import PYTHON

ROOT = Path(__file__).parents[2]
IMAGES = {"wanserve-gateway": "deploy/Dockerfile.gateway", "wanserve-wan": "deploy/Dockerfile.wan"}
GATEWAY = "wan-service"
WORKER = "wan-worker-cpu"
FLOWER_USER = ("operator", "only-for-this-test")

_COMPOSE_FILE = ROOT / "deploy" / "docker-compose.yml"


class Stack:
    """The project's containers, without a GPU.

    Args:
        port: the gateway's on this machine.
        grafana: whether Grafana runs as well, whose image comes from a registry.
    """

    def __init__(self, port: int, *, grafana: bool) -> None:
        self.engine = "podman" if shutil.which("podman") else "docker"
        compose = ["podman-compose"] if self.engine == "podman" else ["docker", "compose"]
        self._compose = [*compose, "-f", str(_COMPOSE_FILE)]
        self._environment = {
            **os.environ,
            "COMPOSE_PROFILES": "cpu,flower,monitoring",
            "MODELS": "wan_tiny_models",
            "PORT": str(port),
            "FLOWER_BASIC_AUTH": ":".join(FLOWER_USER),
        }
        self.url = f"http://127.0.0.1:{port}"
        self.services = [GATEWAY, WORKER, "tiny-models", "redis", "storage", "flower", "prometheus"]
        if grafana:
            self.services.append("grafana")

    def build(self, build_arguments: Sequence[str]) -> None:
        """Build both images with the Dockerfiles as they are."""
        # Podman's own image format has no health checks.
        form = ["--format", "docker"] if self.engine == "podman" else []
        if self.engine == "docker":  # its builder keeps the base, which sizes are compared with, to itself
            self._run("pull", PYTHON)
        for image, file in IMAGES.items():
            command = [self.engine, "build", *form, *build_arguments, "-f", file, "-t", image, "."]
            subprocess.run(command, check=True, cwd=ROOT)

    @contextmanager
    def up(self) -> Iterator[None]:
        """Everything running; everything gone, volumes too, behind it."""
        try:
            self.start(*self.services)
            yield
        except BaseException:
            self.compose("logs")
            raise
        finally:
            self.compose("down", "--volumes")

    def start(self, *services: str) -> None:
        """Start services, those that were killed as well."""
        self.compose("up", "-d", "--no-build", *services)

    def compose(self, *words: str) -> None:
        """Run a compose command, with its output shown."""
        print("$", *self._compose, *words, flush=True)
        subprocess.run([*self._compose, *words], check=True, env=self._environment, cwd=ROOT)

    def kill(self, service: str) -> None:
        """End a service's container as a machine's failure would."""
        self._run("kill", "--signal", "KILL", self._container(service))

    def execute(self, service: str, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command in a service's container, whatever comes of it."""
        words = [self.engine, "exec", self._container(service), *command]
        return subprocess.run(words, capture_output=True, text=True, check=False)

    def container(self, service: str) -> dict[str, Any]:
        """What the engine says of a service's container."""
        found: dict[str, Any] = json.loads(self._run("inspect", self._container(service)))[0]
        return found

    def image(self, name: str) -> dict[str, Any]:
        """What the engine says of an image."""
        found: dict[str, Any] = json.loads(self._run("image", "inspect", name))[0]
        return found

    def _container(self, service: str) -> str:
        names = self._run("ps", "--all", "--format", "{{.Names}}", "--filter", f"name={service}").split()
        # A name of a service may be the beginning of another's.
        return min(names, key=len)

    def _run(self, *words: str) -> str:
        return subprocess.run([self.engine, *words], check=True, stdout=subprocess.PIPE, text=True).stdout
