"""Measure all, or some: ``python -m scripts.bench [NAME …]``. Goals are shown, never enforced."""

from __future__ import annotations

import os
import signal
import sys
from argparse import ArgumentParser
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console

from scripts.bench import (
    checkpoints,
    features,
    gateway,
    growth,
    memory,
    overhead,
    routing,
    streams,
    tasks,
    webhooks,
)
from scripts.bench.report import Figure, machine, show
from scripts.bench.workspace import Workspace

BENCHMARKS: Mapping[str, Callable[[Workspace], Iterator[Figure]]] = {
    "submit": gateway.measure_submit,
    "features": features.measure,
    "status": gateway.measure_status,
    "streams": streams.measure,
    "webhooks": webhooks.measure,
    "routing": routing.measure_routing,
    "overhead": overhead.measure,
    "tasks": tasks.measure,
    "growth": growth.measure,
    "checkpoints": checkpoints.measure,
    "memory": memory.measure,
}

WIDTH = 120  # also where there is no terminal to ask


def main(arguments: Sequence[str]) -> None:
    """Run the benchmarks one after another, then print one table."""
    parser = ArgumentParser(prog="python -m scripts.bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"some of: {', '.join(BENCHMARKS)}")
    names = parser.parse_args(arguments).names or list(BENCHMARKS)
    if unknown := sorted(set(names) - set(BENCHMARKS)):
        parser.error(f"unknown: {', '.join(unknown)}; there are {', '.join(BENCHMARKS)}")
    # As Ctrl-C does, so that every context is left in order.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    # A job that computes leaves other cores to the service, as it does where a GPU computes. Otherwise
    # OpenMP's threads wait for each other whenever one of them loses its core, on either side by chance.
    os.environ["OMP_NUM_THREADS"] = "1"
    os.environ["TQDM_DISABLE"] = "1"  # models load with progress bars
    console, described, figures = Console(highlight=False, width=WIDTH), machine(), list[Figure]()
    with TemporaryDirectory(prefix="wanserve-bench-") as root:
        workspace = Workspace(Path(root))
        for name in names:
            with console.status(f"Measuring {name}"):
                figures.extend(BENCHMARKS[name](workspace))
    show(console, figures, described)


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except KeyboardInterrupt:
        sys.exit(130)
