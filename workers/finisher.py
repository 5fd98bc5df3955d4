"""The second half of a job, beside the GPU: encode, upload, publish."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jobs.artifacts import ArtifactStore
from jobs.scratch import scratch
from jobs.store import JobStore
from telemetry.owners import for_owner
from telemetry.traces import Traces
from workers.lease import Hold
from workers.outcome import Outcome
from workers.upload import upload

_log = logging.getLogger(__name__)

Encoder = Callable[[Any, Path, int, Any], None]


@dataclass(frozen=True, slots=True)
class RawVideo:
    """What the GPU stage leaves: uint8 frames [frames, height, width, 3], their rate, what was measured.

    ``audio`` is the pipeline's, None for a silent video; ``about`` is kept with the stored file.
    """

    frames: Any
    fps: int
    metrics: dict[str, Any]
    audio: Any = None
    about: Mapping[str, str] = field(default_factory=dict)


class Finisher:
    """Finishes videos on one thread, under the lease of their job, at most one job behind the GPU."""

    def __init__(
        self,
        store: JobStore,
        artifacts: ArtifactStore,
        outcome: Outcome,
        encode: Encoder,
        traces: Traces | None = None,
    ) -> None:
        self._traces = traces or Traces()
        self._store = store
        self._artifacts = artifacts
        self._outcome = outcome
        self._encode = encode
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="finisher")
        self._current: Future[None] | None = None

    def finish(self, held: Hold, video: RawVideo) -> None:
        """Take over a job from the GPU stage. Waits while the job before it is still being finished."""
        self.wait()
        facts = copy_context()  # for its log lines and spans
        self._current = self._thread.submit(facts.run, self._finish, held, video)

    def wait(self) -> None:
        """Wait until nothing is being finished. How that job ended is not the next one's concern."""
        if self._current and (fault := self._current.exception()):
            _log.error("A video could not be finished", exc_info=fault)
        self._current = None

    def close(self) -> None:
        """Finish what was taken over, then end the thread."""
        self._thread.shutdown()

    def _finish(self, held: Hold, video: RawVideo) -> None:
        with self._outcome.of(held), self._traces.span("finish"), scratch("video") as folder:
            file = folder / "video.mp4"
            metrics = dict(video.metrics)
            held.report("encoding")
            metrics["encode_seconds"] = self._seconds(
                "encode", lambda: self._encode(video.frames, file, video.fps, video.audio)
            )
            key, sha256 = f"{held.lease.job_id}/{held.lease.attempt}.mp4", _sha256(file)
            metrics["upload_seconds"] = self._seconds(
                "store",
                lambda: upload(
                    self._artifacts,
                    key,
                    file,
                    sha256,
                    still_wanted=lambda: held.report("uploading"),
                    about=video.about,
                ),
            )
            result = _result(video, metrics) | {
                "artifact": key,
                "size": file.stat().st_size,
                "sha256": sha256,
            }
            _log.info(
                "Encoded in %.1f s, stored %.1f MB in %.1f s",
                *(metrics["encode_seconds"], result["size"] / 1e6, metrics["upload_seconds"]),
                extra=for_owner(),
            )
            with self._traces.span("publish"):
                self._outcome.end(held, lambda: self._store.succeed(held.lease, result))

    def _seconds(self, name: str, work: Callable[[], object]) -> float:
        start = time.perf_counter()
        with self._traces.span(name):
            work()
        return time.perf_counter() - start


def _result(video: RawVideo, metrics: dict[str, Any]) -> dict[str, Any]:
    """What the record of a completed job tells of its video, beside where it is."""
    frames, height, width, _ = video.frames.shape
    return {
        "width": width,
        "height": height,
        "frames": frames,
        "fps": video.fps,
        "metrics": {
            name: round(value, 4) if isinstance(value, float) else value for name, value in metrics.items()
        },
    }


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
