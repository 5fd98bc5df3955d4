"""``wanserve jobs``, ``watch``, ``logs``, ``cancel`` and ``models``."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from scripts.cli.api_client import ApiClient, job_path, pass_api
from scripts.cli.progress import show_until_final
from scripts.table import print_table

_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.command()
@click.option("--status", help="Only these: queued, in_progress, completed, failed, cancelled, expired.")
@click.option("--task", help="Only those of this model.")
@click.option("--limit", type=click.IntRange(1, 100), default=20, show_default=True)
@_JSON
@pass_api
def jobs(api: ApiClient, /, *, as_json: bool, **wanted: object) -> None:
    """List jobs, newest first."""
    page = api.request(
        "GET", "/jobs", params={name: value for name, value in wanted.items() if value is not None}
    )
    if as_json:
        click.echo(json.dumps(page["jobs"], indent=2))
        return
    heads = ("id", "task", "status", "progress", "attempt", "created (UTC)")
    print_table(heads, [_row(job) for job in page["jobs"]])  # whole however narrow the terminal is


def _row(job: dict[str, Any]) -> tuple[str, ...]:
    created = job["created_at"].replace("T", " ")[:16]
    return job["id"], job["task"], job["status"], f"{job['progress']} %", str(job["attempt"]), created


@click.command()
@click.argument("job_id")
@pass_api
def watch(api: ApiClient, job_id: str) -> None:
    """Follow a job with a progress bar until it has ended."""
    job = show_until_final(api, api.job(job_id))
    click.echo(job["video_url"])


@click.command()
@click.argument("job_id")
@_JSON
@pass_api
def logs(api: ApiClient, job_id: str, as_json: bool) -> None:
    """Show what happened to a job, on whichever worker."""
    lines = api.request("GET", f"{job_path(job_id)}/logs")["lines"]
    if as_json:
        click.echo(json.dumps(lines, indent=2))
        return
    for line in lines:
        at = datetime.fromisoformat(line["at"]).astimezone()
        click.echo(f"{at:%Y-%m-%d %H:%M:%S}  {line['level']:<7}  {line['message']}")


@click.command()
@click.argument("job_ids", nargs=-1, required=True)
@pass_api
def cancel(api: ApiClient, job_ids: tuple[str, ...]) -> None:
    """Cancel jobs, queued or running."""
    for job_id in job_ids:
        job = api.request("POST", f"{job_path(job_id)}/cancel")
        runs = job["status"] == "in_progress"
        asked = " (it stops at its next step, or when its stage ends)" if runs else ""
        click.echo(f"{job_id}  {job['status']}{asked}")


@click.command()
@_JSON
@pass_api
def models(api: ApiClient, as_json: bool) -> None:
    """List the models, who serves them, and how much they have to do."""
    found = api.request("GET", "/models")["models"]
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    table = Table("task", "makes video from", "installed", "workers", "queued", "default size")
    for model in found:
        installed = "tiny" if model["tiny"] else "yes" if model["installed"] else "no"
        table.add_row(
            model["id"],
            ", ".join(model["accepts"]).replace("-to-video", ""),
            installed,
            str(model["workers"]),
            str(model["queued"]),
            model["defaults"]["size"],
        )
    Console().print(table)
    for model in found:
        if model["install"]:
            click.echo(f"{model['id']}: {model['install']}")
