"""``wanserve up``, and the commands that keep keys and tenants."""

from __future__ import annotations

import click

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
    key_commands.main(arguments)


@click.command(context_settings=_PASSED_ON)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def tenants(arguments: tuple[str, ...]) -> None:
    """Show and set the limits of tenants: `wanserve tenants --help`."""
    tenant_commands.main(arguments)
