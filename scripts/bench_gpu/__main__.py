"""``python -m scripts.bench_gpu``: seconds a step and a video, at real shapes, on the GPU of this machine."""

from __future__ import annotations

import os
import sys
from argparse import ArgumentParser
from collections.abc import Sequence

import torch
from rich.console import Console
from rich.table import Table

from scripts.bench.report import machine
from scripts.bench_gpu.gap import idle_gap
from scripts.bench_gpu.shapes import SMALL, T2V_A14B, TI2V_5B, Shape
from scripts.bench_gpu.ways import Cost, measure

_A14B_BYTES = 110e9  # both experts, the text encoder, and what a 720p video takes beside them
_GOAL_PERCENT = 2.0


def main(arguments: Sequence[str]) -> None:
    """Measure what fits this machine, and print a table for each model."""
    parser = ArgumentParser(prog="python -m scripts.bench_gpu", description=__doc__)
    parser.add_argument("--steps", type=int, default=6, help="steps to measure of each video (default: 6)")
    parser.add_argument("--small", action="store_true", help="a tiny shape, on any machine, to try this out")
    options = parser.parse_args(arguments)
    os.environ["TQDM_DISABLE"] = "1"  # models load with progress bars
    console = Console(highlight=False, width=120)
    shapes = [SMALL] if options.small else _shapes(console)
    if not shapes:
        return
    for shape in shapes:
        bare = _show(console, shape, options.steps)
    gap = idle_gap()
    console.print(f"Idle between two queued jobs: {gap * 1000:.1f} ms (median)", end="")
    console.print(f", {100 * gap / (bare + gap):.3f}% with such videos; goal: under {_GOAL_PERCENT:.0f}%")


def _shapes(console: Console) -> list[Shape]:
    if not torch.cuda.is_available():
        console.print("No CUDA GPU is present here, so there is nothing to measure: run this where one is.")
        return []
    _, total = torch.cuda.mem_get_info()
    if total >= _A14B_BYTES:
        return [TI2V_5B, T2V_A14B]
    console.print(f"t2v-A14B is left out: resident, it takes {_A14B_BYTES / 1e9:.0f} GB of GPU memory.")
    return [TI2V_5B]


def _show(console: Console, shape: Shape, steps: int) -> float:
    """Print one model's table.

    Returns:
        Seconds that a video takes with diffusers alone.
    """
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else machine()
    table = Table(
        title=f"{shape.task}, random weights: {shape.size}, {shape.frames} frames",
        caption=f"{device}, torch {torch.__version__}; a video is extrapolated from {steps} steps",
        title_justify="left",
    )
    for name in ("Way", "s/step", "s/video", "Ratio", "Peak GB"):
        table.add_column(name, justify="left" if name == "Way" else "right")
    bare = 0.0
    for name, cost in measure(shape, steps):
        if isinstance(cost, str):
            table.add_row(f"{name}: {cost}")
            continue
        bare = bare or cost.video_seconds
        table.add_row(name, *_cells(cost, bare))
    console.print(table)
    return bare


def _cells(cost: Cost, bare: float) -> list[str]:
    peak = "" if cost.peak_gb is None else f"{cost.peak_gb:.1f}"
    return [
        f"{cost.step_seconds:.3f}",
        f"{cost.video_seconds:.1f}",
        f"{cost.video_seconds / bare:.2f} x",
        peak,
    ]


if __name__ == "__main__":
    main(sys.argv[1:])
