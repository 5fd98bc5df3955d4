"""One real job over HTTP, end to end: ``python -m scripts.demo``. Starts the service if it does not run."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from api.settings import GatewaySettings
from jobs.settings import load_settings
from scripts.flower import FlowerSettings
from scripts.running import answers, make_data_dir, running_from, stop_command

_START_SECONDS = 180.0
_POLL_SECONDS = 0.1
REQUEST = {
    "task": "t2v-A14B",
    "prompt": "A beautiful sunset over a calm ocean",
    "size": "256*128",
    "frame_num": 17,
    "sample_steps": 20,
    "sample_guide_scale": 7.5,
    "base_seed": 42,
}

console = Console(highlight=False, soft_wrap=True)


def ensure_service(settings: GatewaySettings) -> str:
    """The address of the running service of this data directory, started in the background if need be."""
    if running := running_from(settings.data_dir):
        console.print(
            f"The service of {settings.data_dir} runs already, on {running.url}, and makes the video.\n"
            f"To have it elsewhere, stop it first: {stop_command(settings.data_dir)}"
        )
        with console.status("Waiting for a worker"):
            ready = _becomes_ready(running.url, lambda: running_from(settings.data_dir) == running)
        if not ready:
            sys.exit(f"The service on {running.url} has no worker; `wanserve doctor` looks at every part.")
        return running.url
    address = f"http://{settings.host}:{settings.port}"
    make_data_dir(settings.data_dir)
    if answers(address):
        sys.exit(f"Something else listens on {address}. Choose another port: PORT=8005 make demo")
    _start(address, settings.data_dir / "serve.log")
    return address


def _start(address: str, log: Path) -> None:
    """Start the service and wait for its worker. One that is not waited for to the end is stopped."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "scripts.serve"],
            env={"LOG_FORMAT": "console", "FLOWER_PORT": _flower_port()} | os.environ,  # people look into it
            stdout=output,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
    try:
        with console.status("Starting Redis, the gateway and a worker; building tiny models"):
            ready = _becomes_ready(address, lambda: process.poll() is None)
    except KeyboardInterrupt:
        _end(process)
        sys.exit("The service was still starting, and is stopped again.")
    if not ready:
        _end(process)
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
        sys.exit(f"The service did not start. The end of {log}:\n{tail}")


def _becomes_ready(address: str, lives: Callable[[], bool]) -> bool:
    """Wait until the service is ready, but no longer than it lives, and not for ever."""
    give_up_at = time.monotonic() + _START_SECONDS
    while lives() and time.monotonic() < give_up_at:
        if _is_ready(address):
            return True
        time.sleep(_POLL_SECONDS)
    return False


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    process.wait()


def _flower_port() -> str:
    """Flower's usual port, or any that is free."""
    for port in (FlowerSettings.model_fields["flower_port"].default, 0):
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return str(probe.getsockname()[1])
    return ""


def _is_ready(address: str) -> bool:
    """Whether the service answers and a worker is there to take the job."""
    try:
        health = httpx.get(f"{address}/health", timeout=2)
        return health.is_success and any(health.json()["workers"].values())
    except (httpx.HTTPError, ValueError, KeyError):
        return False


def run_job(client: httpx.Client) -> dict[str, Any]:
    """Submit the job and follow it to its end."""
    answer = client.post("/generate/text-to-video", json=REQUEST)
    answer.raise_for_status()
    job: dict[str, Any] = answer.json()
    console.print(
        f"Submitted  {job['id']}  ({REQUEST['task']}, {REQUEST['size']}, {REQUEST['frame_num']} frames)"
    )
    columns = (TextColumn("{task.description:>11}"), BarColumn(40), TextColumn("{task.percentage:>3.0f} %"))
    with Progress(*columns, TimeElapsedColumn(), console=console) as bar:
        shown = bar.add_task(job["status"], total=100)
        while job["status"] in ("queued", "in_progress"):
            time.sleep(_POLL_SECONDS)
            job = client.get(f"/jobs/{job['id']}").raise_for_status().json()
            bar.update(shown, completed=job["progress"], description=job["stage"] or job["status"])
    return job


def download(client: httpx.Client, job: dict[str, Any], directory: Path) -> Path:
    """Fetch the video of a finished job."""
    directory.mkdir(parents=True, exist_ok=True)
    file = directory / Path(job["video_path"]).name
    with client.stream("GET", job["video_path"]) as answer, file.open("wb") as output:
        for chunk in answer.raise_for_status().iter_bytes():
            output.write(chunk)
    return file


def _flower_line(settings: GatewaySettings) -> str:
    running = running_from(settings.data_dir)
    return f"Flower     {running.flower}   (what the workers do)\n" if running and running.flower else ""


def main() -> None:
    """The demo."""
    from wan_models.pipelines.video import probe_mp4  # noqa: PLC0415 - brings torch, seconds after the first words

    settings = load_settings(GatewaySettings)
    address = ensure_service(settings)
    with httpx.Client(base_url=address, timeout=30) as client:
        job = run_job(client)
        if job["status"] != "completed":
            sys.exit(
                f"The job ended {job['status']}: {(job['error'] or {}).get('message', 'no reason given')}"
            )
        file = download(client, job, settings.data_dir / "demo").resolve()
    video = probe_mp4(file)
    console.print(f"""
Video      {file}
           {video.width}*{video.height}, {video.frames} frames, {video.fps:g} fps, {video.codec}, as read back
Watch      {address}{job["video_path"]}
Service    {address}   (page, API; it goes on running)
{_flower_line(settings)}Stop       {stop_command(settings.data_dir)}

The picture is noise: this is a tiny model with random weights, on the same code that runs the real ones.
""")


if __name__ == "__main__":
    main()
