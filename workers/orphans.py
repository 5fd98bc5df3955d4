"""The slow sweep over stored files that nobody needs any more and nobody came to delete."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import timedelta

from structlog.contextvars import bound_contextvars

from jobs.artifacts import ArtifactStore
from jobs.checkpoints import job_of_checkpoint
from jobs.errors import JobNotFoundError
from jobs.inputs import job_of_input
from jobs.store import JobStore
from jobs.uploads import UPLOADS, made_at

ORPHAN_AGE = timedelta(hours=1)
"""A submit stores its inputs first and writes its record next; none takes as long as this."""

_log = logging.getLogger(__name__)


class Orphans:
    """Deletes what jobs that ended, or never came to be, needed to run, and uploads that waited too long.

    Whoever ends a job deletes its inputs and checkpoints; this is for those who were killed in between, or
    found the artifact store away. It looks at every key there is, and therefore seldom.

    Args:
        store: the job records.
        artifacts: where the files lie.
        upload_seconds: how long an upload may wait to be used.
        clock: Unix seconds.
    """

    def __init__(
        self,
        store: JobStore,
        artifacts: ArtifactStore,
        upload_seconds: float,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._artifacts = artifacts
        self._upload_age = timedelta(seconds=upload_seconds)
        self._clock = clock

    def sweep(self) -> None:
        """Look at every file.

        Raises:
            JobsError: a store is away; what is left is for the next time.
        """
        for artifact in self._artifacts.find():
            if self._is_orphan(artifact.key):
                with bound_contextvars(job=_job_of(artifact.key) or ""):
                    _log.info("Deleting %s, which nobody needs any more", artifact.key)
                self._artifacts.delete(artifact.key)

    def _is_orphan(self, key: str) -> bool:
        if key.startswith(UPLOADS):
            return self._is_older(key.rpartition("/")[2], self._upload_age)
        job_id = _job_of(key)
        if job_id is None:
            return False
        try:
            return self._store.get(job_id).state.is_final
        except JobNotFoundError:
            return self._is_older(job_id, ORPHAN_AGE)

    def _is_older(self, name: str, age: timedelta) -> bool:
        """Whether an upload or a job of this name was made so long ago; what tells no time is left alone."""
        made = made_at(name)
        return made is not None and made.timestamp() + age.total_seconds() < self._clock()


def _job_of(key: str) -> str | None:
    """The job that a file was made for to run, or None for a file of another kind."""
    return job_of_input(key) or job_of_checkpoint(key)
