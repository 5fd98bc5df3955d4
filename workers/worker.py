"""One worker: a Celery parent that receives, and one child that owns the device and runs the jobs."""

from __future__ import annotations

import logging
import os
import signal
import sys
import warnings
from argparse import ArgumentParser
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing

from celery import signals
from celery.exceptions import CPendingDeprecationWarning, SecurityWarning
from celery.utils.log import get_multiprocessing_logger

from jobs.connect import open_artifacts, open_disks, open_store
from jobs.dispatch import Dispatcher
from jobs.embedded import broker_url
from jobs.lifetime import end_with_keeper
from jobs.settings import load_settings
from jobs.store_redis import connect
from telemetry.logs import configure_logging, share_logging
from telemetry.owners import telling_owners
from telemetry.traces import open_traces
from wan_models.engines import read_engines
from wan_models.errors import ModelsError
from wan_models.registry import Registry
from wan_models.speech import Speaker
from wan_models.speech_local import LocalSpeaker
from wan_models.speech_service import ServiceSpeaker
from workers.attempts import Attempts
from workers.backoff import Backoff
from workers.celery_app import create_celery
from workers.checkpoints import Checkpointing
from workers.consumer import telling
from workers.drain import Drain
from workers.finisher import Finisher
from workers.inputs import JobInputs
from workers.lease import keeper_of
from workers.notes import Notes
from workers.outcome import Outcome
from workers.previews import Previews
from workers.recovery import Recovery
from workers.rotation import Rotation
from workers.runner import Runner
from workers.settings import WorkerSettings
from workers.stint import Stint

_BROKEN = 70  # EX_SOFTWARE

_log = logging.getLogger(__name__)


class Child:
    """The composition root of the child process: everything with a thread or a connection is made here."""

    def __init__(self, settings: WorkerSettings, worker: str, rotation: Rotation, drain: Drain) -> None:
        self._open = ExitStack()
        keeper = self._open.enter_context(keeper_of(worker, rotation))  # starts meanwhile
        # Imported in the child alone: a parent that has touched CUDA cannot fork.
        from wan_models.pipelines.video import write_mp4  # noqa: PLC0415 - see above

        traces = self._open.enter_context(closing(open_traces("wanserve-worker", worker)))
        artifacts = open_artifacts(settings)
        store = open_store(settings, artifacts)
        self._open.enter_context(telling_owners(Notes(worker, keeper).take))
        attempts = Attempts()
        rotation.wait(False)  # the child before may have died while it waited
        recovery = Recovery(drain.has_begun, open_disks(settings), tell=rotation.wait)
        outcome = Outcome(store, attempts, keeper, recovery, Backoff(settings.retry_seconds))
        saver = self._open.enter_context(ThreadPoolExecutor(1, thread_name_prefix="checkpoints"))
        drawer = self._open.enter_context(ThreadPoolExecutor(1, thread_name_prefix="previews"))
        checkpointing = Checkpointing(artifacts, settings.models_path, saver, settings.checkpoint_seconds)
        registry = Registry(
            settings.models_path,
            settings.pipeline_options,
            settings.memory_rules,
            read_engines(settings.engines),
        )
        _preload(registry, settings.preloaded(rotation.queues))
        finisher = Finisher(store, artifacts, outcome, write_mp4, traces)
        self._open.callback(finisher.close)
        self.runner = Runner(
            worker=worker,
            store=store,
            registry=registry,
            keeper=keeper,
            outcome=outcome,
            finisher=finisher,
            drain=drain,
            recovery=recovery,
            inputs=JobInputs(artifacts, _speaker(settings)),
            checkpointing=checkpointing,
            previews=lambda held: Previews(held.lease.job_id, artifacts, drawer, held.note_preview),
            traces=traces,
        )
        self.stint = Stint(
            self.runner.run,
            Dispatcher(connect(settings.redis_address)),
            is_over=lambda queue: queue not in rotation.taken() or self.runner.is_broken,
        )

    def close(self) -> None:
        """Finish the video in hand, then let go of everything."""
        self._open.close()


class Worker:
    """A worker process. Create it in the parent; the child appears when Celery forks."""

    def __init__(self, settings: WorkerSettings, name: str, queues: Sequence[str]) -> None:
        self._settings = settings
        self._name = name
        self._rotation = Rotation(queues)
        self._drain = Drain(settings.drain_seconds)
        self._child: Child | None = None

    def run(self) -> None:
        """Serve the queues until the process is told to stop."""
        signals.setup_logging.connect(_share_logging, weak=False)
        signals.celeryd_after_setup.connect(_ignore_warnings, weak=False)  # Celery has set its own filters
        signals.worker_process_init.connect(self._start_child, weak=False)
        signals.worker_process_shutdown.connect(self._close_child, weak=False)
        signals.worker_shutting_down.connect(self._begin_drain, weak=False)
        app = create_celery(broker_url(self._settings.redis_address), self._rotation.queues, self._run_job)
        app.conf.worker_consumer = telling(self._rotation)
        _ignore_warnings()
        alone = ["--without-mingle", "--without-gossip"]
        app.worker_main(["--quiet", "worker", "--hostname", self._name, *alone])

    def _run_job(self, queue: str) -> None:
        if self._child is None:
            raise RuntimeError("A job reached a process that was not set up to run it.")
        self._child.stint.work(queue)
        if self._child.runner.is_broken:
            _log.error("The device of %s failed; another process takes over", self._name)
            self._child.close()
            os._exit(_BROKEN)  # Celery starts another child, before it receives another message

    def _start_child(self, **_: object) -> None:
        try:
            self._child = Child(self._settings, self._name, self._rotation, self._drain)
        except Exception:
            # Celery would go on with a child that can do nothing. The supervisor starts a new worker, slowly.
            _log.exception("The child of %s cannot start", self._name)
            os.kill(os.getppid(), signal.SIGTERM)
            raise

    def _close_child(self, **_: object) -> None:
        if self._child:
            self._child.close()

    def _begin_drain(self, **_: object) -> None:
        self._drain.begin()
        self._rotation.tell(())


def _share_logging(**_: object) -> None:
    """Celery sets up no logging where somebody listens to this signal: its lines go where ours go."""
    get_multiprocessing_logger()  # the pool's, which is made to go nowhere
    logging.getLogger("multiprocessing").addFilter(_is_news)
    share_logging("multiprocessing")


def _is_news(record: logging.LogRecord) -> bool:
    """Not that a child died: the keeper tells how, of which jobs, and whether there was a need for it."""
    return "exited with" not in str(record.msg)


def _ignore_warnings(**_: object) -> None:
    """Leave out what Celery warns of that was decided here.

    Nothing but JSON is taken from messages, so that root is no danger to be reminded of; and a job goes on
    while the broker is away: its lease is in the record, not in its message.
    """
    warnings.filterwarnings("ignore", category=SecurityWarning)
    warnings.filterwarnings("ignore", message=r"\s*In Celery 5\.1", category=CPendingDeprecationWarning)


def _preload(registry: Registry, tasks: Sequence[str]) -> None:
    """Load models before the first job comes. One that cannot be loaded fails its jobs, not the worker."""
    for task in tasks:
        try:
            registry.load(task)
        except ModelsError as error:
            _log.error("%s is not preloaded: %s", task, error)


def _speaker(settings: WorkerSettings) -> Speaker:
    if settings.tts_url is None:
        return LocalSpeaker(settings.tts_voice or "en")
    return ServiceSpeaker(
        settings.tts_url,
        key=settings.tts_api_key.get_secret_value() if settings.tts_api_key else None,
        model=settings.tts_model,
        voice=settings.tts_voice,
    )


def main(arguments: Sequence[str]) -> None:
    """Run one worker: ``python -m workers.worker --name gpu0@host --queues t2v-A14B,ti2v-5B``."""
    parser = ArgumentParser(prog="python -m workers.worker", description=__doc__)
    parser.add_argument("--name", required=True, help="unique in the fleet, as name@host")
    parser.add_argument("--queues", required=True, help="comma-separated model queues")
    options = parser.parse_args(arguments)
    settings = load_settings(WorkerSettings)
    configure_logging(settings, "worker", worker=options.name)
    end_with_keeper()
    Worker(settings, options.name, options.queues.split(",")).run()


if __name__ == "__main__":
    main(sys.argv[1:])
