"""Storing pictures of unfinished videos beside the run."""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import Executor, Future
from contextvars import copy_context

from jobs.artifacts import ArtifactStore
from jobs.errors import JobsError
from jobs.previews import preview_key
from jobs.scratch import scratch

_log = logging.getLogger(__name__)


class Previews:
    """Stores the pictures of one attempt. While one is being stored, further ones are passed over.

    Args:
        job_id: whose they are.
        artifacts: where they lie.
        saver: stores in the background.
        stored: told the step of each picture once clients can get it.
    """

    def __init__(
        self, job_id: str, artifacts: ArtifactStore, saver: Executor, stored: Callable[[int], None]
    ) -> None:
        self._job_id = job_id
        self._artifacts = artifacts
        self._saver = saver
        self._stored = stored
        self._saving: Future[None] | None = None

    def take(self, step: int, picture: bytes) -> None:
        """Store a JPEG that was taken behind a step. It never raises: a run without pictures is a run."""
        if self._saving is None or self._saving.done():
            self._saving = self._saver.submit(copy_context().run, self._save, step, picture)

    def close(self) -> None:
        """Wait for the last one."""
        if self._saving:
            self._saving.result()

    def _save(self, step: int, picture: bytes) -> None:
        try:
            with scratch("preview") as folder:
                file = folder / "preview.jpg"
                file.write_bytes(picture)
                self._artifacts.put(preview_key(self._job_id, step), file)
            self._stored(step)
        except (JobsError, OSError) as error:
            _log.warning("The picture of step %d is not stored: %s", step, error)
        except Exception:  # noqa: BLE001 - see above
            _log.exception("The picture of step %d is not stored", step)
