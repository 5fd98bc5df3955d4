"""Stand-ins for the published images, out of Debian's packages, for where no registry can be reached."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

PYTHON = "docker.io/library/python:3.11-slim-bookworm"
_BASE = "localhost/bookworm-base"
_INSTALL = "RUN apt-get update && apt-get install -y --no-install-recommends"
_RECIPES = {
    PYTHON: "RUN ln -s /usr/bin/python3 /usr/local/bin/python\n",
    "docker.io/valkey/valkey:8.1-bookworm": (
        f"{_INSTALL} redis-server"
        " && ln -s /usr/bin/redis-server /usr/local/bin/valkey-server"
        " && ln -s /usr/bin/redis-cli /usr/local/bin/valkey-cli && install -d -o 999 -g 999 /data\n"
    ),
    "docker.io/prom/prometheus:v3.5.0": (
        f"{_INSTALL} prometheus && install -d -o nobody -g nogroup /prometheus\n"
        'USER nobody\nENTRYPOINT ["prometheus"]\n'
    ),
    "docker.io/rclone/rclone:1.71": 'COPY rclone /usr/local/bin/\nENTRYPOINT ["rclone"]\n',
}


def make_bases(engine: str) -> None:
    """Make an image of each of those names. Takes podman, debootstrap and root. There is none of Grafana."""
    with TemporaryDirectory() as scratch:
        root = Path(scratch) / "root"
        include = "--include=python3,python3-venv,python3-pip,ca-certificates"
        subprocess.run(["debootstrap", "--variant=minbase", include, "bookworm", str(root)], check=True)
        archive = Path(scratch) / "base.tar"
        leave_out = ["--exclude=./var/cache/apt/*", "--exclude=./var/lib/apt/lists/*"]
        subprocess.run(["tar", "-C", str(root), *leave_out, "-cf", str(archive), "."], check=True)
        subprocess.run([engine, "import", str(archive), _BASE], check=True)
        context = Path(scratch) / "context"
        context.mkdir()
        shutil.copy(Path(sys.executable).parent / "rclone", context / "rclone")
        for image, recipe in _RECIPES.items():
            (context / "Dockerfile").write_text(f"FROM {_BASE}\n{recipe}")
            subprocess.run([engine, "build", "-t", image, str(context)], check=True)
