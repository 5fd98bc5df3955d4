"""The containers, really built and run: ``python -m scripts.test_compose``, or ``make test-compose``.

Builds both images, brings the stack up without a GPU, sends it a job, kills the worker's container while
the job runs, starts it again, and sees the job complete. Needs docker with compose, or podman with
podman-compose 1.3. ``--local-bases`` first makes the images that others publish out of Debian's packages,
where no registry can be reached (podman, as root).
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from argparse import ArgumentParser
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx

_ROOT = Path(__file__).parents[1]
_COMPOSE_FILE = _ROOT / "deploy" / "docker-compose.yml"
_IMAGES = {"wanserve-gateway": "deploy/Dockerfile.gateway", "wanserve-wan": "deploy/Dockerfile.wan"}
_WORKER = "wan-worker-cpu"
_WAIT_SECONDS = 180
_JOB = {"prompt": "a lighthouse", "size": "128*64", "frame_num": 17, "sample_steps": 100, "base_seed": 7}


class Stack:
    """The compose project, by whichever engine this machine has."""

    def __init__(self, port: int) -> None:
        self.engine = "podman" if shutil.which("podman") else "docker"
        compose = ["podman-compose"] if self.engine == "podman" else ["docker", "compose"]
        self._compose = [*compose, "-f", str(_COMPOSE_FILE)]
        self._environment = {
            **os.environ,
            "COMPOSE_PROFILES": "cpu",
            "MODELS": "wan_tiny_models",
            "PORT": str(port),
        }
        self.url = f"http://127.0.0.1:{port}"

    def compose(self, *words: str) -> None:
        """Run a compose command, with its output shown."""
        print("$", *self._compose, *words, flush=True)
        subprocess.run([*self._compose, *words], check=True, env=self._environment, cwd=_ROOT)

    def kill(self, service: str) -> None:
        """End a service's containers as a machine's failure would."""
        listed = subprocess.run(
            [self.engine, "ps", "--quiet", "--filter", f"name={service}"],
            check=True,
            capture_output=True,
            text=True,
        )
        subprocess.run([self.engine, "kill", "--signal", "KILL", *listed.stdout.split()], check=True)

    def build(self, build_arguments: Sequence[str]) -> None:
        """Build both images with the Dockerfiles as they are."""
        # Podman's own image format has no health checks.
        form = ["--format", "docker"] if self.engine == "podman" else []
        for image, file in _IMAGES.items():
            command = [self.engine, "build", *form, *build_arguments, "-f", file, "-t", image, "."]
            subprocess.run(command, check=True, cwd=_ROOT)

    @contextmanager
    def up(self) -> Iterator[None]:
        """Everything running; everything gone, volumes too, behind it."""
        try:
            self.compose("up", "-d", "--no-build")
            yield
        except BaseException:
            self.compose("logs")
            raise
        finally:
            self.compose("down", "--volumes")


def make_bases(engine: str) -> None:
    """Stand-ins for the published images that the Dockerfiles and the compose file name."""
    base = "localhost/bookworm-base"
    packages = {
        "docker.io/library/python:3.11-slim-bookworm": "RUN ln -s /usr/bin/python3 /usr/local/bin/python\n",
        "docker.io/valkey/valkey:8.1-bookworm": (
            "RUN apt-get update && apt-get install -y --no-install-recommends redis-server"
            " && ln -s /usr/bin/redis-server /usr/local/bin/valkey-server"
            " && ln -s /usr/bin/redis-cli /usr/local/bin/valkey-cli && install -d -o 999 -g 999 /data\n"
        ),
        "docker.io/rclone/rclone:1.71": 'COPY rclone /usr/local/bin/\nENTRYPOINT ["rclone"]\n',
    }
    with TemporaryDirectory() as scratch:
        root = Path(scratch) / "root"
        include = "--include=python3,python3-venv,python3-pip,ca-certificates"
        subprocess.run(["debootstrap", "--variant=minbase", include, "bookworm", str(root)], check=True)
        archive = Path(scratch) / "base.tar"
        subprocess.run(["tar", "-C", str(root), "-cf", str(archive), "."], check=True)
        subprocess.run([engine, "import", str(archive), base], check=True)
        context = Path(scratch) / "context"
        context.mkdir()
        shutil.copy(Path(sys.executable).parent / "rclone", context / "rclone")
        for image, recipe in packages.items():
            (context / "Dockerfile").write_text(f"FROM {base}\n{recipe}")
            subprocess.run([engine, "build", "-t", image, str(context)], check=True)


def run_a_job(stack: Stack) -> None:
    """One job, whose worker is killed while it runs."""
    with httpx.Client(base_url=stack.url, timeout=10) as client:
        _until("the model is offered", lambda: _available(client))
        answer = client.post("/generate/text-to-video", json=_JOB)
        answer.raise_for_status()
        job_id = answer.json()["id"]
        _until("the job runs", lambda: _job(client, job_id)["step"] >= 1)
        stack.kill(_WORKER)
        print("Killed the worker's container", flush=True)
        stack.compose("up", "-d", "--no-build")
        _until("the job completes", lambda: _job(client, job_id)["status"] == "completed")
        job = _job(client, job_id)
        video = client.get(job["video_path"], follow_redirects=True)
        video.raise_for_status()
        size = len(video.content)
        if job["attempt"] < 2 or b"ftyp" not in video.content[:16]:  # noqa: PLR2004 - killed once
            sys.exit(f"That is no job that outlived its worker: {job}")
        print(f"Completed at attempt {job['attempt']}: {size} bytes of {video.headers['content-type']}")


def _available(client: httpx.Client) -> bool:
    try:
        models = client.get("/models").raise_for_status().json()["models"]
    except httpx.HTTPError:
        return False
    return any(model["available"] and model["workers"] for model in models)


def _job(client: httpx.Client, job_id: str) -> dict[str, Any]:
    job: dict[str, Any] = client.get(f"/jobs/{job_id}").raise_for_status().json()
    if job["status"] == "failed":
        sys.exit(f"The job failed: {job['error']}")
    return job


def _until(what: str, true: Any) -> None:
    print(f"Waiting until {what} …", flush=True)
    give_up_at = time.monotonic() + _WAIT_SECONDS
    while not true():
        if time.monotonic() > give_up_at:
            sys.exit(f"In vain: after {_WAIT_SECONDS} s it is not so that {what}.")
        time.sleep(0.5)


def main() -> None:
    """Build, run, kill, look, clean up."""
    parser = ArgumentParser(prog="python -m scripts.test_compose", description=__doc__)
    parser.add_argument(
        "--local-bases", action="store_true", help="make the base images from Debian's packages"
    )
    parser.add_argument("--no-build", action="store_true", help="take the images as they are")
    parser.add_argument("--port", type=int, default=8004)
    options, build_arguments = parser.parse_known_args()
    stack = Stack(options.port)
    if options.local_bases:
        make_bases(stack.engine)
    if not options.no_build:
        stack.build(build_arguments)
    with stack.up():
        run_a_job(stack)


if __name__ == "__main__":
    main()
