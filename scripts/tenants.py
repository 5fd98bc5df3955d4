"""See and set what tenants may use, and how long their jobs are kept.

``python -m scripts.tenants set acme --requests-per-minute 600``, ``python -m scripts.tenants keep acme 30``.
"""

from __future__ import annotations

import re
import sys
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import fields

from jobs.connect import open_keys, open_limits, open_store
from jobs.errors import JobsError
from jobs.keys import TENANT_PATTERN
from jobs.limits import Limits
from jobs.settings import JobsSettings, load_settings
from scripts.keys import reachable
from scripts.table import print_table

_DAY = 24 * 3600
_MEANINGS = {
    "requests_per_minute": "requests that each of its keys may make",
    "gpu_seconds_per_day": "GPU time of its jobs that end on one day (UTC)",
    "queued": "jobs that it may have waiting, over all queues",
    "in_progress": "jobs that it may have running at a time",
}


def show(settings: JobsSettings, _: Namespace) -> None:
    """List every tenant that has keys or limits of its own."""
    limits, store = open_limits(settings).all(), open_store(settings)
    kept = store.retentions()
    names = [field.name for field in fields(Limits)]
    rows = []
    for tenant in sorted({key.tenant for key in open_keys(settings).all()} | limits.keys() | kept.keys()):
        own = limits.get(tenant)
        told = ["usual" if own is None else _number(getattr(own, name)) for name in names]
        days = f"{kept[tenant] / _DAY:g}" if tenant in kept else "usual"
        rows.append((tenant, *told, days, f"{store.spent(tenant):.0f}"))
    heads = (*(name.replace("_", " ") for name in names), "kept days", "GPU seconds today")
    print_table(("tenant", *heads), rows)


def give(settings: JobsSettings, options: Namespace) -> None:
    """Give a tenant limits of its own."""
    _check_name(options.tenant)
    own = Limits(**{name: getattr(options, name) for name in _MEANINGS})
    open_limits(settings).give(options.tenant, own)
    open_store(settings).set_caps(options.tenant, own.caps)


def keep(settings: JobsSettings, options: Namespace) -> None:
    """Say how long a tenant's jobs and videos are kept that end from now on."""
    _check_name(options.tenant)
    open_store(settings).set_retention(options.tenant, options.days * _DAY)


def reset(settings: JobsSettings, options: Namespace) -> None:
    """Give a tenant everybody's limits and retention again."""
    open_limits(settings).give(options.tenant, None)
    store = open_store(settings)
    store.set_caps(options.tenant, None)
    store.set_retention(options.tenant, None)


def _check_name(tenant: str) -> None:
    if not re.fullmatch(TENANT_PATTERN, tenant):
        raise ValueError(f"{tenant!r} names no tenant.")


def _days(text: str) -> float:
    longest = 3650
    with suppress(ValueError):
        if 1 / _DAY <= float(text) <= longest:
            return float(text)
    raise ArgumentTypeError(f"days are a number, at least a second and at most {longest}")


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:g}"


COMMANDS: Mapping[str, Callable[[JobsSettings, Namespace], None]] = {
    "list": show,
    "set": give,
    "keep": keep,
    "reset": reset,
}


def _parser(prog: str) -> ArgumentParser:
    parser = ArgumentParser(
        prog=prog, description="Say what each tenant may use, and how long its videos are kept."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list", help="list the tenants that have keys or limits of their own")
    setting = commands.add_parser(
        "set", help="give a tenant limits of its own: those named here, and no others"
    )
    setting.add_argument("tenant")
    for name, meaning in _MEANINGS.items():
        kind = float if name == "gpu_seconds_per_day" else int
        setting.add_argument(f"--{name.replace('_', '-')}", type=kind, help=meaning)
    keeping = commands.add_parser("keep", help="say how long a tenant's jobs and videos are kept")
    keeping.add_argument("tenant")
    keeping.add_argument("days", type=_days, help="days from a job's end, such as 30 or 0.5")
    resetting = commands.add_parser("reset", help="give a tenant everybody's limits and retention again")
    resetting.add_argument("tenant")
    return parser


def main(arguments: Sequence[str], prog: str = "python -m scripts.tenants") -> None:
    """Run one command; ``prog`` is what it was called as."""
    options = _parser(prog).parse_args(arguments)
    settings = load_settings(JobsSettings)
    try:
        with reachable(settings):
            COMMANDS[options.command](settings, options)
    except (JobsError, ValueError) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main(sys.argv[1:])
