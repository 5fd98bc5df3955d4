"""A job's progress in the terminal."""

from __future__ import annotations

from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from scripts.cli.api_client import ApiClient


def show_until_final(api: ApiClient, begun: dict[str, Any]) -> dict[str, Any]:
    """Show a bar on standard error until the job has ended.

    Raises:
        ClickException: it did not end with a video.
    """
    columns = (
        TextColumn("{task.description:>12}"),
        BarColumn(40),
        TextColumn("{task.fields[percent]:>3} %"),
        TextColumn("{task.fields[remaining]}"),
    )
    with Progress(*columns, TimeElapsedColumn(), console=Console(stderr=True)) as bar:
        shown = bar.add_task(**_shown(begun))
        try:
            for job in api.follow(begun["id"]):
                bar.update(shown, **_shown(job))
        except KeyboardInterrupt:
            name = begun["id"]
            bar.console.print(
                f"The job goes on: wanserve watch {name}, or wanserve cancel {name}", soft_wrap=True
            )
            raise
    if job["status"] != "completed":
        reason = (job["error"] or {}).get("message", "")
        raise click.ClickException(f"Job {job['id']} ended {job['status']}. {reason}".rstrip())
    return job


def _shown(job: dict[str, Any]) -> dict[str, Any]:
    """What the bar says of a job. It measures denoising; while all else is done, it only moves."""
    measured = job["status"] != "in_progress" or job["stage"] == "denoising"
    return {
        "description": _stage(job),
        "total": 100 if measured else None,
        "completed": job["progress"],
        "percent": job["progress"],
        "remaining": _remaining(job["eta_seconds"]),
    }


def _stage(job: dict[str, Any]) -> str:
    if job["status"] == "queued":
        place = job["queue_position"]
        return f"queued, number {place}" if place else "waiting to be tried again"
    return str(job["stage"] or job["status"])


def _remaining(seconds: int | None) -> str:
    return "" if seconds is None else f"about {seconds // 60}:{seconds % 60:02} left"
