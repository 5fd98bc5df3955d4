"""The whole service in the foreground until Ctrl-C: ``python -m scripts.serve``.

Starts whatever the environment does not name: a Redis of its own, tiny models, then the gateway
and the workers, each kept running. FLOWER_PORT adds Flower.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from threading import Event

from api.exposure import ExposedError, check_exposure
from api.settings import GatewaySettings
from jobs.connect import open_keys
from jobs.embedded import EmbeddedRedis, EmbeddedRedisError
from jobs.settings import load_settings
from scripts.flower import FlowerSettings
from scripts.ports import Port, require_free
from scripts.running import Running, answers, make_data_dir, noted, running_from, stop_command
from telemetry.logs import configure_logging
from workers.processes import ProcessKeeper, Program, stop_on_signals
from workers.settings import WorkerSettings

_STOP_SECONDS = 60.0
_WATCH_SECONDS = 0.1


def programs(metrics_port: int | None, flower: FlowerSettings | None) -> list[Program]:
    """Gateway, supervisor of the workers, whose metrics are on the next port, and Flower if it is wanted."""
    # Ctrl-C should be prompt: a running job goes back to the queue, where the next start finds it.
    prompt = {"DRAIN_SECONDS": os.environ.get("DRAIN_SECONDS", "0")}
    if metrics_port:
        prompt["METRICS_PORT"] = str(metrics_port + 1)
    kept = [
        Program("gateway", [sys.executable, "-m", "api"]),
        Program("workers", [sys.executable, "-m", "workers", "--gpus", "all"], prompt),
    ]
    return [*kept, Program("flower", [sys.executable, "-m", "scripts.flower"])] if flower else kept


def ports(gateway: GatewaySettings, flower: FlowerSettings | None) -> list[Port]:
    """All that those programs listen on."""
    found = [Port("PORT", gateway.host, gateway.port, "the gateway")]
    if number := gateway.metrics_port:
        used = {"the gateway's metrics": number, "the workers' metrics, one above the gateway's": number + 1}
        found += [Port("METRICS_PORT", gateway.metrics_host, port, use) for use, port in used.items()]
    return [*found, flower.listener] if flower else found


def _require_idle(data_dir: Path) -> None:
    if other := running_from(data_dir):
        sys.exit(
            f"A service of {data_dir} runs already, on {other.url}. "
            f"Stop it first ({stop_command(data_dir)}), or choose another DATA_DIR."
        )


def _announcing(address: str, flower: FlowerSettings | None) -> Callable[[], None]:
    """To be called again and again: says once that the gateway answers, as soon as it does."""
    lines = [f"wanserve listens on {address}"]
    if flower:
        lines.append(f"Flower, for a look at the workers: {flower.url}")

    def look() -> None:
        if lines and answers(address):
            print("\n".join(lines), flush=True)
            lines.clear()

    return look


def _build_tiny_models(models_dir: Path, stopped: Event) -> None:
    """Build those that are missing, unless ``stopped`` is set meanwhile."""
    # A session of its own, as a kept process has: Ctrl-C is for this process, which ends it.
    builder = subprocess.Popen(
        [sys.executable, "-m", "scripts.build_tiny_models", str(models_dir)], start_new_session=True
    )
    while builder.poll() is None and not stopped.wait(_WATCH_SECONDS):
        pass
    builder.terminate()
    if builder.wait() and not stopped.is_set():
        sys.exit(f"The tiny models cannot be built in {models_dir}.")


def main() -> None:
    """Start everything, keep it running, stop it in order."""
    gateway, worker = load_settings(GatewaySettings), load_settings(WorkerSettings)
    flower = load_settings(FlowerSettings) if os.environ.get("FLOWER_PORT") else None
    configure_logging(gateway, "serve")
    _require_idle(gateway.data_dir)
    make_data_dir(gateway.data_dir)
    require_free(ports(gateway, flower))
    stopped = Event()
    stop_on_signals(stopped)
    with ExitStack() as running:
        print("wanserve starts; Ctrl-C stops it", flush=True)
        address = f"http://{gateway.host}:{gateway.port}"
        note = Running(os.getpid(), address, flower.url if flower else None)
        running.enter_context(noted(gateway.data_dir, note))
        duties = [_announcing(address, flower)]
        if gateway.redis_url is None:
            redis = EmbeddedRedis(gateway.redis_directory)
            try:
                running.enter_context(redis)
            except EmbeddedRedisError as error:
                sys.exit(str(error))
            duties.append(redis.keep)
        try:
            check_exposure(gateway, open_keys(gateway))
        except ExposedError as error:
            sys.exit(str(error))
        if worker.models_dir is None:
            _build_tiny_models(worker.models_path, stopped)
        kept = programs(gateway.metrics_port, flower)
        keeper = ProcessKeeper(kept, stop_seconds=worker.drain_seconds + _STOP_SECONDS)
        keeper.run(stopped, meanwhile=duties)


if __name__ == "__main__":
    main()
