"""What saving a run's state costs the run: how long the device stands still for it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from statistics import median
from typing import Any

from jobs.artifacts_local import LocalArtifactStore
from jobs.state import Lease
from scripts.bench.report import Figure
from scripts.bench.workspace import Workspace
from workers.checkpoints import JobCheckpoints
from workers.settings import WorkerSettings

SAVES = 10
STEPS = 40
GOAL_SHARE = 0.02
LATENTS = (1, 16, 21, 90, 160)  # of 1280*720 and 81 frames


def measure(workspace: Workspace) -> Iterator[Figure]:
    """Save the state of the largest run that A14B makes, at every step, and look how long each step waits."""
    import torch  # noqa: PLC0415 - takes a second
    from diffusers import UniPCMultistepScheduler  # noqa: PLC0415 - as above

    from wan_models.pipelines.resumable import ResumableScheduler  # noqa: PLC0415 - as above

    every_seconds = float(WorkerSettings.model_fields["checkpoint_seconds"].default)
    with ThreadPoolExecutor(1) as saver:
        checkpoints = JobCheckpoints(
            Lease("job_1", "worker", 1),
            LocalArtifactStore(workspace.directory()),
            lambda: "bench",
            saver,
            every_seconds=every_seconds,
            leaving=lambda: True,
        )
        unipc: Any = UniPCMultistepScheduler
        flow = {"prediction_type": "flow_prediction", "use_flow_sigmas": True, "flow_shift": 5.0}
        scheduler = ResumableScheduler(unipc(**flow), checkpoints)
        scheduler.set_timesteps(STEPS)
        latents = scheduler.begin(torch.randn(LATENTS))
        waits, saves = [], []
        for timestep in scheduler.timesteps[:SAVES]:
            latents = scheduler.step(latents * 0.5, timestep, latents, return_dict=False)[0]
            begin = time.perf_counter()
            scheduler.after_step(latents)
            waits.append(time.perf_counter() - begin)
            checkpoints.close()
            saves.append(time.perf_counter() - begin)
    share = median(waits) / every_seconds
    yield Figure(
        what=f"a run of 1280*720, 81 frames waits for one save of its state, every {every_seconds:.0f} s",
        measured=f"{median(waits) * 1000:.0f} ms ({share:.2%}), stored after {median(saves) * 1000:.0f} ms",
        goal=f"at most {GOAL_SHARE:.0%} of the time",
        met=share <= GOAL_SHARE,
    )
