"""What a benchmark tells, and the table it is shown in."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from statistics import quantiles

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One line of the table. ``met`` says whether the goal was, None where there is none."""

    what: str
    measured: str
    against: str = ""
    ratio: float | None = None
    goal: str = ""
    met: bool | None = None


def percentile(values: Iterable[float], percent: int) -> float:
    """The value that ``percent`` (1 to 99) of the values lie below. There must be two or more."""
    return quantiles(values, n=100, method="inclusive")[percent - 1]


def machine() -> str:
    """The machine in a line: processor, cores, memory, load, system, Python."""
    load = "/".join(f"{value:.1f}" for value in os.getloadavg())
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"{_processor()}, {os.cpu_count()} cores, {memory:.0f} GiB, load before {load}, "
        f"{platform.system()} {platform.release()}, Python {platform.python_version()}"
    )


def show(console: Console, figures: Iterable[Figure], described: str) -> None:
    """Print the table."""
    table = Table(title="wanserve, beside the plain alternatives", caption=described, title_justify="left")
    for name, justify in (("What", "left"), ("wanserve", "right"), ("Beside", "right"), ("Ratio", "right")):
        table.add_column(name, justify="right" if justify == "right" else "left")
    table.add_column("Goal")
    for figure in figures:
        mark = {True: "[green]met[/] ", False: "[red]missed[/] ", None: ""}[figure.met]
        ratio = "" if figure.ratio is None else f"{figure.ratio:.2f} x"
        table.add_row(figure.what, figure.measured, figure.against, ratio, f"{mark}{figure.goal}")
    console.print(table)


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:  # Linux alone has it
        return platform.processor() or platform.machine()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())
