"""One video on several GPUs: each has all of the model, and takes its share of the tokens (Ulysses).

The first GPU belongs to this process, which leads; each other one to a follower, a process that runs the
same requests in step. A step is taken by all or by none: behind each one the leader says whether to go on.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from fcntl import LOCK_SH, flock
from importlib import import_module
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp
from typing import Any, cast
from weakref import finalize

import torch
from pydantic import TypeAdapter
from torch import distributed

from wan_models.checkpoints import Checkpoints
from wan_models.errors import DeviceFaultError, GenerationStoppedError
from wan_models.options import PipelineOptions
from wan_models.pipeline import GeneratedVideo, OnStep, Pipeline, PipelineLoader, Run
from wan_models.request import VideoRequest

OPTIONS = TypeAdapter(PipelineOptions)
"""How options travel to the followers."""

FOLLOWER = (sys.executable, "-m", "wan_models.pipelines.follower")

_ANSWER_SECONDS = 600.0  # the slowest decoding of a video, and more
_END_SECONDS = 30.0
_STEP_TIMEOUT = timedelta(hours=1)
_GO_ON, _STOP = 0, 1


class ParallelPipeline:
    """A pipeline that runs in several processes at once, as the leader of the others.

    Args:
        where: the ``module:Class`` of the pipeline.
        path: the model's folder.
        options: how the deployment wants it; ``context_parallel`` counts the processes.
        follower: the command that runs a follower.

    Raises:
        GenerationError: the model cannot be loaded, or not be shared among the GPUs.
    """

    def __init__(
        self, where: str, path: Path, options: PipelineOptions, follower: Sequence[str] = FOLLOWER
    ) -> None:
        scratch = Path(mkdtemp(prefix="wanserve-scratch-parallel-"))
        lock = os.open(scratch, os.O_RDONLY)
        flock(lock, LOCK_SH)  # so that it is swept if this process is killed, see jobs/scratch.py
        plain = replace(options, loras=dict(options.loras), shared=dict(options.shared))
        told = {"where": where, "path": str(path), "options": OPTIONS.dump_python(plain, mode="json")}
        processes = [
            _start(follower, {**told, "rank": rank, "rendezvous": str(scratch / "rendezvous")})
            for rank in range(1, options.context_parallel)
        ]
        self._followers = processes
        self._end = finalize(self, _end, processes, scratch, lock)
        try:
            join(0, options.context_parallel, scratch / "rendezvous")
            self._pipeline = load(where, path, options)
            self._wait_for_followers()
        except BaseException:
            self._end()
            raise

    def generate(self, request: VideoRequest, run: Run) -> GeneratedVideo:
        """Make one video together; see the Pipeline protocol.

        Raises:
            DeviceFaultError: the processes lost each other. This pipeline is of no more use.
        """
        checkpoints = run.checkpoints and _OnceResumed(run.checkpoints)
        task = {
            "request": request.model_dump(mode="json"),
            "inputs": {name: str(path) for name, path in run.inputs.items()},
            "resume": str(checkpoints.path) if checkpoints and checkpoints.path else None,
            "fingerprint": checkpoints.fingerprint if checkpoints else "",
        }
        for process in self._followers:
            _tell(process, task)
        try:
            return self._pipeline.generate(
                request, replace(run, on_step=_leading(run.on_step), checkpoints=checkpoints)
            )
        finally:
            self._wait_for_followers()

    def _wait_for_followers(self) -> None:
        """Hear that every follower has done its part, or has failed at it in the same way."""
        for process in self._followers:
            stream = process.stdout
            if (
                stream is None
                or not select.select([stream], [], [], _ANSWER_SECONDS)[0]
                or not stream.readline()
            ):
                self._end()
                raise DeviceFaultError("The processes of a parallel run lost each other.")


class _OnceResumed:
    """Checkpoints whose file was already asked for, so that all processes begin at the same step."""

    def __init__(self, checkpoints: Checkpoints) -> None:
        self._checkpoints = checkpoints
        self.fingerprint = checkpoints.fingerprint
        self.path = checkpoints.resume()

    def resume(self) -> Path | None:
        return self.path

    def __getattr__(self, name: str) -> Any:
        return getattr(self._checkpoints, name)


def join(rank: int, count: int, rendezvous: Path) -> None:
    """Meet the other processes, and take the GPU of this rank."""
    cuda = torch.cuda.is_available()
    if cuda:
        torch.cuda.set_device(rank)
    distributed.init_process_group(
        "cpu:gloo,cuda:nccl" if cuda else "gloo",
        init_method=f"file://{rendezvous}",
        rank=rank,
        world_size=count,
        timeout=_STEP_TIMEOUT,
    )


def load(where: str, path: Path, options: PipelineOptions) -> Pipeline:
    """Load a pipeline by the ``module:Class`` of the catalog."""
    module, name = where.split(":")
    return cast("PipelineLoader", getattr(import_module(module), name))(path, options)


def following(step: int, steps: int) -> None:  # noqa: ARG001 - an OnStep
    """The ``on_step`` of a follower: go on if the leader does."""
    if _agree(_GO_ON) == _STOP:
        raise GenerationStoppedError("The leader stopped.")


def _leading(on_step: OnStep) -> OnStep:
    def lead(step: int, steps: int) -> None:
        try:
            on_step(step, steps)
        except BaseException:
            _agree(_STOP)
            raise
        _agree(_GO_ON)

    return lead


def _agree(word: int) -> int:
    """The leader's word, in every process."""
    said = torch.tensor([word])
    distributed.broadcast(said, src=0)
    return int(said)


def _start(command: Sequence[str], task: Mapping[str, Any]) -> subprocess.Popen[str]:
    process = subprocess.Popen(  # noqa: S603 - our own program
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    _tell(process, task)
    return process


def _tell(process: subprocess.Popen[str], task: Mapping[str, Any]) -> None:
    try:
        if process.stdin:
            process.stdin.write(json.dumps(task) + "\n")
            process.stdin.flush()
    except OSError as error:
        raise DeviceFaultError(f"A process of a parallel run has gone: {error}") from error


def _end(processes: Sequence[subprocess.Popen[str]], scratch: Path, lock: int) -> None:
    for process in processes:
        process.kill()
    for process in processes:
        process.wait(_END_SECONDS)
        for stream in (process.stdin, process.stdout):
            if stream:
                stream.close()
    if distributed.is_initialized():
        distributed.destroy_process_group()
    rmtree(scratch, ignore_errors=True)
    os.close(lock)
