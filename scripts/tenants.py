"""See and set what tenants may use: ``python -m scripts.tenants set acme --requests-per-minute 600``."""

from __future__ import annotations

import re
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields

from jobs.connect import open_keys, open_limits, open_store
from jobs.errors import JobsError
from jobs.keys import TENANT_PATTERN
from jobs.limits import Limits
from jobs.settings import JobsSettings, load_settings
from scripts.keys import reachable
from scripts.table import print_table

_MEANINGS = {
    "requests_per_minute": "requests that each of its keys may make",
    "gpu_seconds_per_day": "GPU time of its jobs that end on one day (UTC)",
    "queued": "jobs that it may have waiting, over all queues",
    "in_progress": "jobs that it may have running at a time",
}


def show(settings: JobsSettings, _: Namespace) -> None:
    """List every tenant that has keys or limits of its own."""
    limits, store = open_limits(settings).all(), open_store(settings)
    names = [field.name for field in fields(Limits)]
    rows = []
    for tenant in sorted({key.tenant for key in open_keys(settings).all()} | limits.keys()):
        own = limits.get(tenant)
        told = ["usual" if own is None else _number(getattr(own, name)) for name in names]
        rows.append((tenant, *told, f"{store.spent(tenant):.0f}"))
    print_table(("tenant", *(name.replace("_", " ") for name in names), "GPU seconds today"), rows)


def give(settings: JobsSettings, options: Namespace) -> None:
    """Give a tenant limits of its own."""
    if not re.fullmatch(TENANT_PATTERN, options.tenant):
        raise ValueError(f"{options.tenant!r} names no tenant.")
    own = Limits(**{name: getattr(options, name) for name in _MEANINGS})
    open_limits(settings).give(options.tenant, own)
    open_store(settings).set_caps(options.tenant, own.caps)


def reset(settings: JobsSettings, options: Namespace) -> None:
    """Give a tenant everybody's limits again."""
    open_limits(settings).give(options.tenant, None)
    open_store(settings).set_caps(options.tenant, None)


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:g}"


COMMANDS: Mapping[str, Callable[[JobsSettings, Namespace], None]] = {
    "list": show,
    "set": give,
    "reset": reset,
}


def _parser() -> ArgumentParser:
    parser = ArgumentParser(prog="python -m scripts.tenants", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list", help="list the tenants that have keys or limits of their own")
    setting = commands.add_parser(
        "set", help="give a tenant limits of its own: those named here, and no others"
    )
    setting.add_argument("tenant")
    for name, meaning in _MEANINGS.items():
        kind = float if name == "gpu_seconds_per_day" else int
        setting.add_argument(f"--{name.replace('_', '-')}", type=kind, help=meaning)
    commands.add_parser("reset", help="give a tenant everybody's limits again").add_argument("tenant")
    return parser


def main(arguments: Sequence[str]) -> None:
    """Run one command."""
    options = _parser().parse_args(arguments)
    settings = load_settings(JobsSettings)
    try:
        with reachable(settings):
            COMMANDS[options.command](settings, options)
    except (JobsError, ValueError) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main(sys.argv[1:])
