"""``python -m workers``: one pinned worker for each GPU, kept running, and the maintenance of all jobs."""

from __future__ import annotations

import logging
import os
import socket
import sys
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import Event, Thread

from jobs.connect import open_artifacts, open_disks, open_store
from jobs.dispatch import Dispatcher
from jobs.lifetime import end_with_keeper
from jobs.metrics import DiskMetrics, MetricsPortError, serving
from jobs.scratch import sweep_scratch
from jobs.settings import load_settings
from jobs.store_redis import connect
from telemetry.logs import configure_logging
from wan_models.catalog import CATALOG
from wan_models.engines import Engines, EnginesError, read_engines
from wan_models.errors import LoraCatalogError
from wan_models.loras import read_loras
from wan_models.models_dir import served_models
from wan_models.options import PARALLEL_TASKS
from workers.gpu_metrics import GpuMetrics
from workers.gpus import GpuSelectionError, present_gpus, select_gpus, share_gpus
from workers.maintenance import Maintenance
from workers.metrics import AttemptMetrics
from workers.news import News
from workers.orphans import Orphans
from workers.processes import ProcessKeeper, Program, stop_on_signals
from workers.seldom import seldom
from workers.settings import WorkerSettings

_log = logging.getLogger(__name__)

_SWEEP_SECONDS = 1.0
_ORPHANS_SECONDS = 600.0
_SCRATCH_SECONDS = 60.0
_STOP_MARGIN_SECONDS = 30.0  # for the step under way and the video being finished, beyond the drain


def worker_programs(gpus: Sequence[str], queues: Sequence[str], host: str) -> list[Program]:
    """One worker a GPU, or a group of them, which sees no other; one CPU worker where there is none.

    Without a queue to serve there is no worker.
    """
    if not queues:
        return []
    if not gpus:
        # Idle OpenMP threads would spin, and take the cores from the gateway and the encoder.
        return [_worker("cpu", queues, host, {"CUDA_VISIBLE_DEVICES": "", "OMP_WAIT_POLICY": "PASSIVE"})]
    return [
        _worker(f"gpu{gpu.replace(',', '-')}", queues, host, {"CUDA_VISIBLE_DEVICES": gpu}) for gpu in gpus
    ]


def _worker(place: str, queues: Sequence[str], host: str, environment: Mapping[str, str]) -> Program:
    options = ["--name", f"{place}@{host}", "--queues", ",".join(queues)]
    quiet = {"TQDM_DISABLE": "1", **environment}  # no progress bars of models that load
    return Program(f"worker {place}", [sys.executable, "-m", "workers.worker", *options], quiet)


def deliverer_program() -> Program:
    """The deliverer of webhooks: a process of its own, so that no receiver holds up a worker."""
    return Program("webhooks", [sys.executable, "-m", "workers.deliver"], {"CUDA_VISIBLE_DEVICES": ""})


def supervise(settings: WorkerSettings, gpus: Sequence[str], queues: Sequence[str], host: str) -> None:
    """Run the workers and the maintenance until SIGTERM or Ctrl-C."""
    stopped = Event()
    stop_on_signals(stopped)
    dispatcher = Dispatcher(connect(settings.redis_address))
    artifacts = open_artifacts(settings)
    store = open_store(settings, artifacts)
    orphans = Orphans(store, artifacts, settings.upload_seconds)
    attempts = AttemptMetrics(host, list(CATALOG))
    maintenance = Maintenance(
        store,
        artifacts,
        dispatcher,
        list(CATALOG),
        [seldom(orphans.sweep, _ORPHANS_SECONDS), seldom(sweep_scratch, _SCRATCH_SECONDS)],
        lease_seconds=settings.lease_seconds,
        rescued=attempts.rescued,
    )
    sweeper = Thread(target=maintenance.run, args=(stopped, _SWEEP_SECONDS), name="maintenance")
    news = News(settings.redis_address, store, attempts.observe)
    listener = Thread(target=news.run, args=(stopped,), name="news")
    programs = [*worker_programs(gpus, queues, host), deliverer_program()]
    told = (attempts, GpuMetrics(), DiskMetrics(open_disks(settings)))
    with serving(settings.metrics_host, settings.metrics_port, *told):
        duties = [sweeper, listener] if settings.metrics_port else [sweeper]
        for duty in duties:
            duty.start()
        try:
            ProcessKeeper(programs, stop_seconds=settings.drain_seconds + _STOP_MARGIN_SECONDS).run(stopped)
        finally:
            stopped.set()
            for duty in duties:
                duty.join()


def _tell_of_lone_tasks(queues: Sequence[str], gpus_each: int) -> None:
    """Say at the start what several GPUs a video will not do for."""
    for task in queues:
        if gpus_each > 1 and task not in PARALLEL_TASKS:
            _log.warning(
                "%s cannot be shared among GPUs: of each %d of a worker, the first one makes its videos.",
                task,
                gpus_each,
            )


def _queues(text: str, models_dir: Path, engines: Engines) -> list[str]:
    """The queues to serve. ``all`` means every model that is installed or has an engine here."""
    if text == "all":
        queues = [task for task in served_models(models_dir, engines) if CATALOG[task].pipeline]
        if not queues:
            raise ValueError(
                f"No model is installed in {models_dir}. Install one with:"
                " python scripts/download_wan_models.py --model t2v-A14B"
            )
        return queues
    queues = [name.strip() for name in text.split(",") if name.strip()]
    unknown = [name for name in queues if name not in CATALOG]
    if unknown or not queues:
        raise ValueError(f"--queues {text}: write all, none, or some of {','.join(CATALOG)}.")
    return queues


def _places(options: Namespace, settings: WorkerSettings) -> tuple[list[str], list[str]]:
    """The GPUs and the queues of the workers to keep: none of either for maintenance and webhooks alone.

    Raises:
        GpuSelectionError, EnginesError, LoraCatalogError, ValueError: something is not here, or unknown.
    """
    if options.queues == "none":
        return [], []
    selected = select_gpus(options.gpus, os.environ.get("CUDA_VISIBLE_DEVICES"), present_gpus())
    gpus = share_gpus(selected, settings.context_parallel)
    queues = _queues(options.queues, settings.models_path, read_engines(settings.engines))
    read_loras(settings.loras_dir)  # so that a wrong catalog is told here, and not by every worker again
    return gpus, queues


def main(arguments: Sequence[str]) -> int:
    """Parse the command line and supervise."""
    parser = ArgumentParser(
        prog="python -m workers", description=__doc__, formatter_class=RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--gpus",
        default="all",
        help="all, none (one CPU worker), a count, or a list such as 0,1 (default: all)",
    )
    parser.add_argument(
        "--queues",
        default="all",
        help="model queues to serve, comma-separated (default: all that are installed);"
        " none for maintenance and webhooks alone, without a worker",
    )
    parser.add_argument(
        "--host",
        default=socket.gethostname(),
        help="the machine in the names of its workers, unique in the fleet (default: %(default)s)",
    )
    options = parser.parse_args(arguments)
    settings = load_settings(WorkerSettings)
    configure_logging(settings, "supervisor")
    end_with_keeper()
    try:
        gpus, queues = _places(options, settings)
    except (GpuSelectionError, EnginesError, LoraCatalogError, ValueError) as error:
        parser.error(str(error))
    _tell_of_lone_tasks(queues, settings.context_parallel)
    try:
        supervise(settings, gpus, queues, options.host)
    except MetricsPortError as error:
        sys.exit(str(error))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
