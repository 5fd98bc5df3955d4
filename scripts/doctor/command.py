"""``wanserve doctor``, as a command."""

from __future__ import annotations

import logging

import click
from pydantic import ValidationError
from rich.console import Console

from api.settings import GatewaySettings
from jobs.settings import explain
from scripts.doctor.finding import Check, Verdict
from scripts.doctor.folders import check_folders
from scripts.doctor.gateway import check_gateway
from scripts.doctor.machine import check_gpus, check_python, check_voice
from scripts.doctor.models import check_acceleration, check_catalogs, check_models
from scripts.doctor.neighbours import check_neighbours
from scripts.doctor.stores import check_artifacts, check_data_dir, check_disks, check_redis
from scripts.doctor.traces import check_traces

CHECKS: tuple[Check, ...] = (
    check_python,
    check_data_dir,
    check_redis,
    check_artifacts,
    check_disks,
    check_folders,
    check_gpus,
    check_models,
    check_catalogs,
    check_gateway,
    check_traces,
    check_neighbours,
    check_voice,
    check_acceleration,
)


@click.command()
def doctor() -> None:
    """Check Redis, the store, disk, GPUs, models, ports, clock and versions, and say what to do."""
    logging.getLogger().addHandler(logging.NullHandler())  # the findings say it
    console = Console(highlight=False, soft_wrap=True)
    try:
        settings = GatewaySettings()
    except ValidationError as error:
        raise click.ClickException(explain(error)) from error
    findings = [finding for check in CHECKS for finding in check(settings)]
    for finding in findings:
        console.print(f"{finding.verdict.value} [bold]{finding.part:<10}[/bold]", end=" ")
        console.print(finding.message, markup=False)
    faults = sum(finding.verdict is Verdict.FAULT for finding in findings)
    if faults:
        raise click.ClickException(f"{faults} of these need mending.")
    console.print("Nothing is in the way.")
