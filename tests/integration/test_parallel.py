"""One video by two processes: gloo on the CPU stands for NCCL on GPUs; all else is real."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.integration.ways import WAYS, Way
from wan_models.catalog import CATALOG
from wan_models.errors import DeviceFaultError, GenerationStoppedError, UnusableInputError
from wan_models.models_dir import model_path
from wan_models.options import PipelineOptions
from wan_models.pipeline import Run
from wan_models.pipelines.parallel import ParallelPipeline
from wan_models.registry import Registry

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent.parent
FOLLOWER = (sys.executable, "-m", "tests.integration.cpu_follower")
Load = Callable[..., ParallelPipeline]


@pytest.fixture
def parallel(models_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Load]:
    """Loads a task's model into two processes."""
    monkeypatch.setattr(torch.accelerator, "device_count", lambda: 1)
    monkeypatch.chdir(ROOT)
    loaded: list[ParallelPipeline] = []

    def load(task: str, folder: Path = models_dir, **options: Any) -> ParallelPipeline:
        where = CATALOG[task].pipeline
        assert where
        wanted = PipelineOptions(context_parallel=2, **options)
        loaded.append(ParallelPipeline(where, model_path(folder, task), wanted, FOLLOWER))
        return loaded[-1]

    yield load
    for pipeline in loaded:
        pipeline._end()


@pytest.mark.parametrize("name", ["t2v-A14B", "i2v-A14B", "ti2v-5B with an image", "s2v-14B"])
def test_two_processes_make_the_video_of_one(parallel, warm, media, name):
    way = WAYS[name]
    pipeline = parallel(way.task)
    for fields in ({}, {"size": "128*64", "prompt": "a dog"}):
        difference = (
            way.frames(pipeline, media, **fields).int() - way.frames(warm[way.task], media, **fields).int()
        )
        assert difference.abs().max() <= 1
    told = pipeline.generate(way.request(), way.run(media)).metrics["acceleration"]
    assert told["context_parallel"] == 2


@pytest.mark.parametrize("processes", [2, 4])
def test_a_speech_transformer_that_is_shared_holds_the_official_numbers(processes, tmp_path):
    command = [sys.executable, "-m", "tests.integration.shared_transformer", str(tmp_path), str(processes)]
    running = [
        subprocess.Popen([*command, str(rank)], cwd=ROOT, stdout=subprocess.PIPE, text=True)
        for rank in range(processes)
    ]
    told = [process.communicate(timeout=300)[0] for process in running]
    for differences in map(json.loads, told):
        assert max(differences) < 1e-5


def test_both_stop_at_once_and_both_go_on_behind_it(parallel, media):
    way = WAYS["t2v-A14B"]
    pipeline = parallel(way.task)
    before = way.frames(pipeline, media)

    def stop(step: int, _steps: int) -> None:
        if step == 2:
            raise GenerationStoppedError("enough")

    with pytest.raises(GenerationStoppedError, match="enough"):
        pipeline.generate(way.request(), way.run(media, on_step=stop))
    assert torch.equal(way.frames(pipeline, media), before)


def test_bad_input_stops_both_and_both_go_on_behind_it(parallel, media):
    way = WAYS["i2v-A14B"]
    pipeline = parallel(way.task)
    with pytest.raises(UnusableInputError, match="image"):
        pipeline.generate(way.request(), Run(on_step=lambda *_: None))
    assert len(way.frames(pipeline, media)) == 5


def test_a_follower_that_dies_is_a_fault_of_the_device(parallel, media):
    way: Way = WAYS["t2v-A14B"]
    pipeline = parallel(way.task)

    def kill(_step: int, _steps: int) -> None:
        os.kill(pipeline._followers[0].pid, signal.SIGKILL)
        pipeline._followers[0].wait()

    with pytest.raises(DeviceFaultError):
        pipeline.generate(way.request(), way.run(media, on_step=kill))


@pytest.mark.parametrize("name", ["magcache", "taylorseer"])
def test_a_step_cache_of_each_process_sees_its_own_share(parallel, measured_dir, media, name):
    way, cached = WAYS["t2v-A14B"], {"step_cache": name, "step_cache_threshold": 1.0}
    pipeline = parallel(way.task, measured_dir, **cached)
    alone = Registry(measured_dir, PipelineOptions(**cached)).load(way.task)
    steps = {"sample_steps": 12}
    difference = way.frames(pipeline, media, **steps).int() - way.frames(alone, media, **steps).int()
    assert difference.abs().max() <= 1
    told = pipeline.generate(way.request(**steps), way.run(media)).metrics["acceleration"]
    assert told["step_cache"] == name


def test_a_cache_that_processes_would_not_agree_on_is_not_used(parallel, warm, media):
    way = WAYS["ti2v-5B"]
    pipeline = parallel(way.task, step_cache="first-block", step_cache_threshold=1.0)
    made = pipeline.generate(way.request(), way.run(media))
    assert made.metrics["acceleration"]["step_cache"] == "none"
    assert (made.frames.int() - way.frames(warm[way.task], media).int()).abs().max() <= 1


@pytest.mark.parametrize("task", ["t2v-A14B", "s2v-14B"])
def test_blocks_of_a_video_that_is_shared_are_not_compiled(parallel, warm, media, task):
    way = WAYS[task]
    made = parallel(task, compile_blocks=True).generate(way.request(), way.run(media))
    assert made.metrics["acceleration"]["compiled_blocks"] is False
    assert made.metrics["acceleration"]["context_parallel"] == 2
    assert (made.frames.int() - way.frames(warm[task], media).int()).abs().max() <= 1


def test_a_model_that_cannot_be_shared_is_loaded_by_one_process(models_dir, warm, media):
    way = WAYS["animate-14B"]
    pipeline = Registry(models_dir, PipelineOptions(context_parallel=2)).load(way.task)
    assert torch.equal(way.frames(pipeline, media), way.frames(warm[way.task], media))


def test_followers_end_with_the_pipeline(parallel):
    pipeline = parallel("t2v-A14B")
    followers = pipeline._followers
    pipeline._end()
    assert [process.poll() for process in followers] == [-signal.SIGKILL]
    assert not torch.distributed.is_initialized()
