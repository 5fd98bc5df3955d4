"""What is installed here, and the GPUs."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Iterator

from api.settings import GatewaySettings
from scripts.doctor.finding import Finding, Verdict
from workers.gpus import present_gpus


def check_python(_: GatewaySettings) -> Iterator[Finding]:
    """The interpreter, and which halves of the service are installed."""
    version = ".".join(map(str, sys.version_info[:3]))
    yield Finding(Verdict.FINE, "python", version)
    for half, package in (("gateway", "fastapi"), ("worker", "torch")):
        if importlib.util.find_spec(package) is None:
            message = f"the {half} is not installed here; pip install 'wanserve[{half}]' where it should run"
            yield Finding(Verdict.ADVICE, "packages", message)


def check_gpus(_: GatewaySettings) -> Iterator[Finding]:
    """The driver sees GPUs, and torch sees the same."""
    gpus = present_gpus()
    if not gpus:
        yield Finding(Verdict.ADVICE, "gpu", "none here: workers run on the CPU, for tiny models only")
        return
    yield Finding(Verdict.FINE, "gpu", f"{len(gpus)} by the driver")
    if importlib.util.find_spec("torch"):
        # In a process of its own: CUDA would stay initialised in this one.
        code = "import torch; print(torch.cuda.device_count())"
        seen = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        if seen.stdout.strip() != str(len(gpus)):
            message = (
                f"torch sees {seen.stdout.strip() or 'none'}: its CUDA and the driver do not fit together"
            )
            yield Finding(Verdict.FAULT, "gpu", message)


def check_voice(settings: GatewaySettings) -> Iterator[Finding]:
    """What speaks the texts of speech-to-video."""
    if settings.tts_url:
        yield Finding(
            Verdict.FINE, "speech", "the service of TTS_URL is to speak texts, and may clone voices"
        )
    elif importlib.util.find_spec("espeakng_loader"):
        message = "eSpeak NG speaks texts; to clone voices, set TTS_URL for the gateway and the workers"
        yield Finding(Verdict.FINE, "speech", message)
    else:
        message = (
            "eSpeak NG is not installed here; where workers run, enable_tts needs"
            " pip install espeakng-loader, or TTS_URL"
        )
        yield Finding(Verdict.ADVICE, "speech", message)
