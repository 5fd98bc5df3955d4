"""What Prometheus is told of this machine's GPUs, by the driver's library NVML."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pynvml
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

_Read = Callable[[Any], float]
# Our name, what it means, and how a device's handle tells it.
_READINGS: tuple[tuple[str, str, _Read], ...] = (
    (
        "wanserve_gpu_memory_used_bytes",
        "Memory in use.",
        lambda gpu: float(pynvml.nvmlDeviceGetMemoryInfo(gpu).used),
    ),
    (
        "wanserve_gpu_memory_bytes",
        "Memory there is.",
        lambda gpu: float(pynvml.nvmlDeviceGetMemoryInfo(gpu).total),
    ),
    (
        "wanserve_gpu_utilization_ratio",
        "Part of the time that something ran.",
        lambda gpu: pynvml.nvmlDeviceGetUtilizationRates(gpu).gpu / 100,
    ),
)


class GpuMetrics(Collector):
    """Memory and utilization of each GPU; nothing where there is none."""

    def collect(self) -> Iterator[Metric]:
        """See Collector."""
        with _gpus() as gpus:
            for name, meaning, read in _READINGS:
                family = GaugeMetricFamily(name, meaning, labels=["gpu"])
                for index, gpu in enumerate(gpus):
                    _add(family, str(index), gpu, read)
                yield family


def _add(family: GaugeMetricFamily, index: str, gpu: object, read: _Read) -> None:
    try:
        family.add_metric([index], read(gpu))
    except pynvml.NVMLError:  # one that does not tell, such as the utilization of a part of a GPU
        return


@contextmanager
def _gpus() -> Iterator[list[object]]:
    """A handle of each GPU in NVML's order; none where there is no driver, or it fails."""
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        yield []
        return
    try:
        yield _handles()
    finally:
        pynvml.nvmlShutdown()


def _handles() -> list[object]:
    try:
        return [pynvml.nvmlDeviceGetHandleByIndex(index) for index in range(pynvml.nvmlDeviceGetCount())]
    except pynvml.NVMLError:
        return []
