"""What Prometheus is told of this machine's GPUs, by the driver's own tool, which speaks NVML."""

from __future__ import annotations

import csv
import shutil
import subprocess
from collections.abc import Iterator

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

_DRIVER_SECONDS = 10
_MIB = 1024 * 1024
# What the tool calls it, what we call it, and how many of ours one of theirs is.
_COLUMNS = (
    ("memory.used", "wanserve_gpu_memory_used_bytes", "Memory in use.", _MIB),
    ("memory.total", "wanserve_gpu_memory_bytes", "Memory there is.", _MIB),
    ("utilization.gpu", "wanserve_gpu_utilization_ratio", "Part of the time that something ran.", 0.01),
)


class GpuMetrics(Collector):
    """Memory and utilization of each GPU; nothing where there is none."""

    def collect(self) -> Iterator[Metric]:
        """See Collector."""
        families = [GaugeMetricFamily(name, meaning, labels=["gpu"]) for _, name, meaning, _ in _COLUMNS]
        for gpu, *values in _rows():
            for family, value, (*_, factor) in zip(families, values, _COLUMNS, strict=True):
                if value.replace(".", "", 1).isdecimal():  # "[N/A]" where the device does not tell
                    family.add_metric([gpu], float(value) * factor)
        yield from families


def _rows() -> list[list[str]]:
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return []
    query = ",".join(("index", *(column for column, *_ in _COLUMNS)))
    try:
        told = subprocess.run(  # noqa: S603 - found on PATH
            [tool, f"--query-gpu={query}", "--format=csv,noheader,nounits"],
            capture_output=True,
            text=True,
            check=True,
            timeout=_DRIVER_SECONDS,
        )
    except (OSError, subprocess.SubprocessError):
        return []
    return list(csv.reader(told.stdout.splitlines(), skipinitialspace=True))
