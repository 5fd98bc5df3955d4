"""Saving a run's state beside the run, and finding what an earlier attempt saved."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from concurrent.futures import Executor, Future
from contextlib import ExitStack
from contextvars import copy_context
from functools import cached_property, partial
from pathlib import Path

from jobs.artifacts import ArtifactStore
from jobs.checkpoints import checkpoint_key, forget_checkpoints, newest_checkpoint
from jobs.errors import JobsError
from jobs.scratch import scratch
from jobs.state import Lease
from telemetry.owners import for_owner
from wan_models.checkpoints import UNUSABLE, fingerprint
from wan_models.models_dir import model_path
from wan_models.request import VideoRequest

_log = logging.getLogger(__name__)


class JobCheckpoints:
    """The checkpoints of one attempt, as ``wan_models.checkpoints.Checkpoints`` has them.

    Args:
        lease: the attempt.
        artifacts: where checkpoints lie.
        fingerprint: tells what this run's checkpoints are known by; asked only where there are any.
        saver: one thread, which saves.
        every_seconds: how often to save; 0 for never.
        leaving: whether this worker is about to give the job back.
        clock: seconds that only go up.
    """

    def __init__(
        self,
        lease: Lease,
        artifacts: ArtifactStore,
        fingerprint: Callable[[], str],
        saver: Executor,
        *,
        every_seconds: float,
        leaving: Callable[[], bool],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._fingerprint = fingerprint
        self.resumed = False
        self._lease = lease
        self._artifacts = artifacts
        self._saver = saver
        self._every_seconds = every_seconds
        self._leaving = leaving
        self._decided: bool | None = None
        self._clock = clock
        self._saved_at = clock()
        self._saving: Future[None] | None = None
        self._newest: str | None = None
        self._open = ExitStack()
        self._folder: Path | None = None

    @cached_property
    def fingerprint(self) -> str:
        """See Checkpoints."""
        return self._fingerprint()

    def resume(self) -> Path | None:
        """See Checkpoints."""
        if self._lease.attempt == 1:  # nobody was there before
            return None
        try:
            found = newest_checkpoint(self._artifacts, self._lease.job_id)
            if found is None:
                return None
            self._newest = found.key
            file = self._scratch() / "resumed.safetensors"
            with self._artifacts.read(found.key) as stream, file.open("wb") as copy:
                copy.writelines(stream)
        except (JobsError, OSError) as error:
            told = for_owner(UNUSABLE)
            _log.warning("The checkpoint of an earlier attempt cannot be read: %s", error, extra=told)
            return None
        self.resumed = True
        return file

    def due(self) -> bool:
        """See Checkpoints. One save at a time, except for the last one."""
        if not self._every_seconds:
            return False
        self._decided = self._leaving()
        if self._decided:
            return True
        idle = self._saving is None or self._saving.done()
        return idle and self._clock() - self._saved_at >= self._every_seconds

    def leaves(self) -> bool:
        """Whether the run is to be given back behind the step that it just took.

        What ``due`` found for that step holds, where it was asked: else a drain that begins in between would
        give the run back unsaved.
        """
        decided, self._decided = self._decided, None
        return self._leaving() if decided is None else decided

    def save(self, step: int, write: Callable[[Path], None]) -> None:
        """See Checkpoints."""
        self._saved_at = self._clock()
        self._saving = self._saver.submit(copy_context().run, self._save, step, write)

    def discard(self) -> None:
        """Forget what was saved: a run that went on from it broke."""
        self.resumed = False
        try:
            forget_checkpoints(self._artifacts, self._lease.job_id)
        except JobsError as error:
            _log.warning("Checkpoints are left: %s", error)

    def close(self) -> None:
        """Wait for the last save, and leave nothing on this machine."""
        if self._saving:
            self._saving.result()
        self._open.close()
        self._folder = None

    def _save(self, step: int, write: Callable[[Path], None]) -> None:
        try:
            file = self._scratch() / f"{step}.safetensors"
            write(file)
            key = checkpoint_key(self._lease, step)
            self._artifacts.put(key, file)
            file.unlink()
            if self._newest:
                self._artifacts.delete(self._newest)
            self._newest = key
        except (JobsError, OSError) as error:
            _log.warning("Step %d is not saved: %s", step, error)
        except Exception:  # noqa: BLE001 - a run without checkpoints is still a run
            _log.exception("Step %d is not saved", step)

    def _scratch(self) -> Path:
        if self._folder is None:
            self._folder = self._open.enter_context(scratch("checkpoints"))
        return self._folder


class Checkpointing:
    """Makes the checkpoints of each attempt of this process.

    Args:
        artifacts: where checkpoints lie.
        models_dir: the models, which fingerprints tell apart.
        saver: one thread, which saves.
        every_seconds: how often to save; 0 for never.
    """

    def __init__(
        self, artifacts: ArtifactStore, models_dir: Path, saver: Executor, every_seconds: float
    ) -> None:
        self._artifacts = artifacts
        self._models_dir = models_dir
        self._saver = saver
        self._every_seconds = every_seconds

    def of(self, lease: Lease, request: VideoRequest, leaving: Callable[[], bool]) -> JobCheckpoints:
        """The checkpoints of one attempt; ``leaving`` tells whether it is about to be given back."""
        return JobCheckpoints(
            lease,
            self._artifacts,
            partial(fingerprint, request, model_path(self._models_dir, request.task)),
            self._saver,
            every_seconds=self._every_seconds,
            leaving=leaving,
        )
