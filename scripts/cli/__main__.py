"""The composition of ``wanserve``; also ``python -m scripts.cli``."""

from __future__ import annotations

import click

from api.version import VERSION
from scripts.cli.api_client import ApiClient
from scripts.cli.jobs import cancel, jobs, logs, models, watch
from scripts.cli.make import generate
from scripts.cli.service import backup, keys, restore, tenants, up
from scripts.cli.workers import workers
from scripts.doctor.command import doctor
from scripts.simulate.command import simulate


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(VERSION, prog_name="wanserve")
@click.option(
    "--url",
    envvar="WANSERVE_URL",
    default="http://127.0.0.1:8004",
    show_default=True,
    show_envvar=True,
    help="Address of the service.",
)
@click.option(
    "--key", envvar="WANSERVE_API_KEY", show_envvar=True, help="API key, where the service asks for one."
)
@click.pass_context
def main(context: click.Context, url: str, key: str | None) -> None:
    """Wan 2.2 video generation as a service: run it, use it, look after it."""
    context.obj = context.with_resource(ApiClient(url, key))


for command in (
    *(up, generate, jobs, watch, logs, cancel, models),
    *(keys, tenants, workers, doctor, backup, restore, simulate),
):
    main.add_command(command)


if __name__ == "__main__":
    main()
