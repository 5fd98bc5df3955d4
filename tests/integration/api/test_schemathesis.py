"""The gateway against its own description: schemathesis makes up requests and checks every answer."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from threading import Event, Thread

import pytest

from jobs.errors import JobNotFoundError
from jobs.keys_memory import MemoryKeyStore
from tests.integration.api.conftest import Gateway
from tests.integration.api.keys import access_with, token
from tests.integration.api.live import listening
from tests.servers import PROGRAMS
from wan_models.catalog import CATALOG

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

CONFIG = Path(__file__).parents[2] / "data" / "schemathesis.toml"
EXAMPLES = os.environ.get("SCHEMATHESIS_EXAMPLES", "2")
"""For each operation and phase; more find more."""
PHASES = os.environ.get("SCHEMATHESIS_PHASES", "examples,fuzzing,stateful")
"""There is also ``coverage``, which takes minutes."""


@contextmanager
def working(gateway: Gateway) -> Iterator[None]:
    """Something that finishes most jobs at once, so that there are videos to ask for."""
    stopped = Event()

    def work() -> None:
        while not stopped.wait(0.02):
            for task in CATALOG:
                if job := gateway.store.claim(task, "worker-1"):
                    with suppress(JobNotFoundError):
                        gateway.publish(job)

    thread = Thread(target=work)
    thread.start()
    yield
    stopped.set()
    thread.join()


def test_every_answer_is_one_that_the_description_promises(gateway: Gateway, tmp_path: Path):
    keys = MemoryKeyStore()
    parts = replace(gateway.parts, access=access_with(keys))
    with working(gateway), listening(parts) as server:
        parts.watch.close()  # nobody waits for jobs that nobody runs
        url = f"http://127.0.0.1:{server.address[1]}"
        done = subprocess.run(
            [
                *(PROGRAMS / "schemathesis", "--config-file", CONFIG, "run", f"{url}/openapi.json"),
                *(
                    "--checks",
                    "all",
                    "--phases",
                    PHASES,
                    "--max-examples",
                    EXAMPLES,
                    "--seed",
                    "1",
                    "--no-color",
                ),
                *("--header", f"Authorization: Bearer {token(keys, 'acme')}"),
                *("--generation-database", "none", "--suppress-health-check", "all"),
            ],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 0, done.stdout[-20000:] + done.stderr[-2000:]
