"""A worker takes no more of its GPU than it was given."""

import pytest
import torch

from wan_models.pipelines import memory
from wan_models.pipelines.engine import Engine
from workers.settings import WorkerSettings


class Gpu:
    """Stands in for torch's view of a GPU of 80 GB, and notes what the process was allowed."""

    allowed: float | None = None

    def is_available(self) -> bool:
        return True

    def current_device(self) -> int:
        return 1

    def mem_get_info(self) -> tuple[int, int]:
        return 70_000_000_000, 80_000_000_000

    def set_per_process_memory_fraction(self, fraction: float) -> None:
        self.allowed = fraction


@pytest.fixture
def gpu(monkeypatch) -> Gpu:
    gpu = Gpu()
    monkeypatch.setattr(torch, "cuda", gpu)
    return gpu


@pytest.mark.parametrize(("gigabytes", "allowed"), [(None, None), ("20", 0.25), ("500", 1.0)])
def test_the_share_of_the_gpu_is_that_of_the_setting(gpu, monkeypatch, gigabytes, allowed):
    if gigabytes:
        monkeypatch.setenv("MEMORY_BUDGET_GB", gigabytes)
    memory.limit(WorkerSettings().pipeline_options.memory_limit)
    assert gpu.allowed == allowed


def test_it_holds_before_anything_of_a_model_is_on_the_device(monkeypatch, tmp_path):
    monkeypatch.setenv("MEMORY_BUDGET_GB", "20")
    said: list[object] = []
    monkeypatch.setattr("wan_models.pipelines.engine.limit", said.append)

    class Unloadable:
        @staticmethod
        def from_pretrained(*_: object, **__: object) -> None:
            said.append("loading")
            raise FileNotFoundError

    with pytest.raises(FileNotFoundError):
        Engine(Unloadable, tmp_path, WorkerSettings().pipeline_options)
    assert said == [20_000_000_000, "loading"]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="takes a CUDA GPU")
def test_a_gpu_gives_no_more_than_that():
    memory.limit(100_000_000)
    try:
        torch.zeros(50_000_000, dtype=torch.uint8, device="cuda")
        with pytest.raises(torch.cuda.OutOfMemoryError):
            torch.zeros(200_000_000, dtype=torch.uint8, device="cuda")
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)


def test_each_process_of_several_that_share_a_video_has_a_gpu_of_its_own(gpu):
    assert memory.own_device() == torch.device("cuda:1")
