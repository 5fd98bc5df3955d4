"""``python -m scripts.bench_gpu``: seconds a step and a video, at real shapes, on the GPU of this machine."""

from __future__ import annotations

import os
import sys
from argparse import ArgumentParser
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from rich.console import Console

from scripts.bench.report import machine
from scripts.bench_gpu.gap import idle_gap
from scripts.bench_gpu.shapes import SMALL, T2V_A14B, TI2V_5B, Shape, part_sizes
from scripts.bench_gpu.ways import ALONE, Cost, measure, ways
from wan_models.catalog import CATALOG
from wan_models.plan import Plan, choose_plan

_GOAL_PERCENT = 2.0
_NOTE = (
    "* at its most: what these leave out depends on a model's weights, and by random ones it is arbitrary.\n"
    "Not measured here: several GPUs for one video (CONTEXT_PARALLEL)."
)


def main(arguments: Sequence[str]) -> None:
    """Measure what fits this machine, and print a table for each model, row by row as it is found."""
    parser = ArgumentParser(prog="python -m scripts.bench_gpu", description=__doc__)
    parser.add_argument("--steps", type=int, default=6, help="steps to measure of each video (default: 6)")
    parser.add_argument("--small", action="store_true", help="a tiny shape, on any machine, to try this out")
    options = parser.parse_args(arguments)
    if options.steps < 2:  # noqa: PLR2004 - the pace leaves the first one out
        parser.error("--steps must be 2 or more.")
    os.environ["TQDM_DISABLE"] = "1"  # models load with progress bars
    console = Console(highlight=False, width=120)
    shapes = [(SMALL, Plan.RESIDENT)] if options.small else _shapes(console)
    if not shapes:
        return
    for shape, plan in shapes:
        bare = _show(console, shape, options.steps, plan)
    console.print(_NOTE)
    gap = idle_gap()
    console.print(f"Idle between two queued jobs: {gap * 1000:.1f} ms (median)", end="")
    console.print(f", {100 * gap / (bare + gap):.3f}% with such videos; goal: under {_GOAL_PERCENT:.0f}%")


def _shapes(console: Console) -> list[tuple[Shape, Plan]]:
    """The models that fit this GPU, with the fastest memory plan that each fits by."""
    if not torch.cuda.is_available():
        console.print("No CUDA GPU is present here, so there is nothing to measure: run this where one is.")
        return []
    free, _ = torch.cuda.mem_get_info()
    plans = [(shape, plan_of(shape, free)) for shape in (TI2V_5B, T2V_A14B)]
    for shape, plan in plans:
        if plan is None:
            console.print(f"{shape.task} is left out: {free / 1e9:.0f} GB of GPU memory are too little.")
    return [(shape, plan) for shape, plan in plans if plan]


def plan_of(shape: Shape, free: int) -> Plan | None:
    """The memory plan to measure a model on, None where it would not even be made.

    It is made on the GPU as a whole, whichever plan it runs on.
    """
    sizes = part_sizes(shape)
    plan = choose_plan(sizes, int(CATALOG[shape.task].working_gb * 1e9), free)
    return plan if plan in (Plan.RESIDENT, Plan.MODEL_OFFLOAD) and sum(sizes.values()) < free else None


def _show(console: Console, shape: Shape, steps: int, plan: Plan) -> float:
    """Print one model's table.

    Returns:
        Seconds that a video takes with diffusers alone, infinite where that does not work.
    """
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else machine()
    console.print(f"\n{shape.task}, random weights: {shape.size}, {shape.frames} frames, {plan}")
    console.print(f"{device}, torch {torch.__version__}; a video is extrapolated from {steps} steps")
    console.print(_row("Way", "s/step", "s/video", "Ratio", "Peak GB", "Worked"))
    bare = float("inf")
    with TemporaryDirectory(prefix="wanserve-bench-") as scratch:
        for name, cost in measure(shape, steps, plan, Path(scratch), ways(plan)):
            if isinstance(cost, str):
                console.print(f"{name:<24}{cost}", markup=False)
                continue
            bare = cost.video_seconds if name == ALONE else bare
            console.print(_row(name, *_cells(cost, bare)))
    return bare


def _row(name: str, *cells: str) -> str:
    return f"{name:<24}" + "".join(f"{cell:>10}" for cell in cells)


def _cells(cost: Cost, bare: float) -> list[str]:
    return [
        f"{cost.step_seconds:.3f}",
        f"{cost.video_seconds:.1f}",
        f"{cost.video_seconds / bare:.2f} x",
        "" if cost.peak_gb is None else f"{cost.peak_gb:.1f}",
        "" if cost.worked is None else f"{cost.worked:.0%}",
    ]


if __name__ == "__main__":
    main(sys.argv[1:])
