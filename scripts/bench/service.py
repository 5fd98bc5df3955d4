"""The service as users run it: embedded Redis, a gateway process, and a worker if there is work to do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager

from jobs.embedded import EmbeddedRedis
from scripts.bench import sample
from scripts.bench.workspace import Workspace, free_port, running, wait_until_ready


@contextmanager
def serving(
    workspace: Workspace,
    *,
    worker: bool = False,
    gpus: str = "none",
    settings: Mapping[str, str] | None = None,
) -> Iterator[tuple[str, str]]:
    """Run the service on tiny models, and yield the addresses of the gateway and of its Redis.

    Args:
        workspace: where to work.
        worker: whether there is one.
        gpus: what it is to run on, as ``python -m workers`` takes it.
        settings: more of them, as in the environment.
    """
    directory, port = workspace.directory(), free_port()
    address, log = f"http://127.0.0.1:{port}", directory / "log"
    with ExitStack() as running_parts:
        server = running_parts.enter_context(EmbeddedRedis(directory / "redis"))
        environment = {
            "DATA_DIR": str(directory),
            "MODELS_DIR": str(workspace.models),
            "REDIS_URL": server.url,
            "S3_BUCKET": "",  # whatever the caller's shell has set
            "HOST": "127.0.0.1",
            "PORT": str(port),
            "LOG_LEVEL": "INFO",
            "DRAIN_SECONDS": "0",
            "QUEUE_LENGTH": "1000000",  # nothing that is measured is to be refused
            **(settings or {}),
        }
        process = running_parts.enter_context(running("api", environment=environment, log=log))
        wait_until_ready(f"{address}/health", process, log)
        if worker:
            command = ("workers", "--gpus", gpus, "--queues", sample.TASK)
            process = running_parts.enter_context(running(*command, environment=environment, log=log))
            wait_until_ready(f"{address}/health", process, log, workers=True)
        yield address, server.url
