"""Models, who serves them, and the files that go with them."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import ValidationError

from api.settings import GatewaySettings
from jobs.connect import open_store
from jobs.errors import JobsError
from jobs.settings import explain
from scripts.doctor.finding import Finding, Verdict
from scripts.doctor.stores import has_nothing
from wan_models.catalog import CATALOG
from wan_models.engines import EnginesError, read_engines
from wan_models.errors import LoraCatalogError
from wan_models.loras import read_loras
from wan_models.models_dir import installed_models, model_path
from wan_models.options import MAGNITUDES, MEASURABLE_TASKS, PARALLEL_TASKS
from workers.settings import WorkerSettings


def check_models(settings: GatewaySettings) -> Iterator[Finding]:
    """Which models are installed, and whether each has a worker."""
    installed = installed_models(settings.models_path)
    if not installed and not (settings.models_dir is None and has_nothing(settings)):
        message = (
            f"none in {settings.models_path}: python scripts/download_wan_models.py --model ti2v-5B,"
            " or `wanserve up` for tiny ones"
        )
        yield Finding(Verdict.FAULT, "models", message)
    for task, model in installed.items():
        yield Finding(Verdict.FINE, "models", f"{task}{', tiny: it paints noise' if model.tiny else ''}")
    for task in CATALOG.keys() - installed.keys():
        if model_path(settings.models_path, task).exists():
            message = (
                f"{task} is incomplete or damaged, and does not count as installed: "
                f"python scripts/download_wan_models.py --model {task}"
            )
            yield Finding(Verdict.FAULT, "models", message)
    try:
        served = {queue for worker in open_store(settings).workers() for queue in worker.queues}
    except JobsError:
        return  # said already
    for task in CATALOG:
        if task in installed and task not in served:
            yield Finding(
                Verdict.ADVICE, "workers", f"nobody serves {task}; start python -m workers --queues {task}"
            )


def check_catalogs(settings: GatewaySettings) -> Iterator[Finding]:
    """The files that gateway and workers read when they start."""
    try:
        read_engines(settings.engines)
    except EnginesError as error:
        yield Finding(Verdict.FAULT, "engines", f"{error} Correct the file, or ENGINES")
    try:
        read_loras(settings.loras_dir)
    except LoraCatalogError as error:
        yield Finding(Verdict.FAULT, "adapters", f"{error} Correct the file, or LORAS_DIR")


def check_acceleration(gateway: GatewaySettings) -> Iterator[Finding]:
    """Settings of workers, as far as they are those of this machine, and what they will not do."""
    try:
        settings = WorkerSettings()
    except ValidationError as error:
        yield Finding(Verdict.FAULT, "workers", explain(error))
        return
    installed = installed_models(gateway.models_path)
    if settings.context_parallel > 1:
        for task in set(installed) - set(PARALLEL_TASKS):
            message = (
                f"{task} cannot be shared among GPUs: it runs on one of each {settings.context_parallel}"
            )
            yield Finding(Verdict.ADVICE, "speed", message)
    if settings.step_cache == "magcache":
        for task in MEASURABLE_TASKS:
            if task in installed and not (installed[task].path / MAGNITUDES).is_file():
                message = (
                    f"{task} runs without magcache until it is measured:"
                    f" python -m scripts.calibrate_step_cache --model {task}"
                )
                yield Finding(Verdict.ADVICE, "speed", message)
