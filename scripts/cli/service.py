"""``wanserve up``, and the commands that keep keys, tenants and backups."""

from __future__ import annotations

from pathlib import Path

import click

from scripts import backup as backups
from scripts import keys as key_commands
from scripts import serve
from scripts import tenants as tenant_commands

_PASSED_ON = {"ignore_unknown_options": True, "help_option_names": []}


@click.command()
def up() -> None:
    """Run everything on this machine until Ctrl-C: Redis, the gateway, workers.

    Tiny models take the place of those that MODELS_DIR does not name. PORT, DATA_DIR and the other variables
    of docs/settings.md choose the parts.
    """
    serve.main()


@click.command(context_settings=_PASSED_ON)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def keys(arguments: tuple[str, ...]) -> None:
    """Make, list and revoke API keys: `wanserve keys --help`."""
    key_commands.main(arguments, "wanserve keys")


@click.command(context_settings=_PASSED_ON)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def tenants(arguments: tuple[str, ...]) -> None:
    """Show and set limits and retention of tenants: `wanserve tenants --help`."""
    tenant_commands.main(arguments, "wanserve tenants")


@click.command()
@click.argument("directory", type=click.Path(path_type=Path))
@click.option("--artifacts", is_flag=True, help="Copy videos and other files as well.")
def backup(directory: Path, artifacts: bool) -> None:
    """Copy everything that the service keeps into a new directory, while it runs."""
    backups.main([str(directory), *(["--artifacts"] if artifacts else [])])


@click.command()
@click.argument("directory", type=click.Path(path_type=Path))
@click.option("--force", is_flag=True, help="Replace the records that are there.")
def restore(directory: Path, force: bool) -> None:
    """Put a backup back. Stop the service first."""
    backups.main([str(directory), "--restore", *(["--force"] if force else [])])
