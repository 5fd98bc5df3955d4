"""NVML without a driver."""

# ruff: noqa: N802 - the names are NVML's own

from types import SimpleNamespace

import pynvml


class FakeNvml:
    """NVML of a machine with two GPUs of 2 GiB, one of which keeps its utilization to itself."""

    NVMLError = pynvml.NVMLError
    open = False
    broken = False

    def nvmlInit(self) -> None:
        self.open = True

    def nvmlShutdown(self) -> None:
        self.open = False

    def nvmlDeviceGetCount(self) -> int:
        assert self.open
        if self.broken:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_GPU_IS_LOST)
        return 2

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:
        return index

    def nvmlDeviceGetMemoryInfo(self, gpu: int) -> SimpleNamespace:
        return SimpleNamespace(used=1024**3 if gpu == 0 else 0, total=2 * 1024**3)

    def nvmlDeviceGetUtilizationRates(self, gpu: int) -> SimpleNamespace:
        if gpu == 1:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)
        return SimpleNamespace(gpu=50)
