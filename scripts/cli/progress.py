"""A job's progress in the terminal."""

from __future__ import annotations

from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from scripts.cli.api_client import ApiClient


def show_until_final(api: ApiClient, job_id: str) -> dict[str, Any]:
    """Show a bar on standard error until the job has ended.

    Raises:
        ClickException: it did not end with a video.
    """
    columns = (
        TextColumn("{task.description:>12}"),
        BarColumn(40),
        TextColumn("{task.percentage:>3.0f} %"),
        TextColumn("{task.fields[remaining]}"),
    )
    with Progress(*columns, TimeElapsedColumn(), console=Console(stderr=True)) as bar:
        shown = bar.add_task("queued", total=100, remaining="")
        for job in api.follow(job_id):
            bar.update(
                shown,
                completed=job["progress"],
                description=_stage(job),
                remaining=_remaining(job["eta_seconds"]),
            )
    if job["status"] != "completed":
        reason = (job["error"] or {}).get("message", "")
        raise click.ClickException(f"Job {job_id} ended {job['status']}. {reason}".rstrip())
    return job


def _stage(job: dict[str, Any]) -> str:
    if job["status"] == "queued":
        return f"queued, {job['queue_position']}." if job["queue_position"] else "waiting to be tried again"
    return str(job["stage"] or job["status"])


def _remaining(seconds: int | None) -> str:
    return "" if seconds is None else f"about {seconds // 60}:{seconds % 60:02} left"
