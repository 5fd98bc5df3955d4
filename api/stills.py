"""Pictures of finished videos: made when they are first asked for, kept beside the video."""

from __future__ import annotations

from api.refusals import VideoNotReadyError
from jobs.artifacts import ArtifactStore
from jobs.errors import ArtifactNotFoundError
from jobs.scratch import scratch
from jobs.state import Job
from wan_models.stills import Still, make_still


def still_of(job: Job, kind: Still, artifacts: ArtifactStore) -> bytes:
    """A picture of a job's video, encoded.

    Raises:
        VideoNotReadyError: the job has no video.
        ArtifactNotFoundError: the video's file is gone.
        StillError: it cannot be read.
    """
    if job.result is None:
        raise VideoNotReadyError(job.id, job.state)
    key = f"{job.id}/{kind}{kind.suffix}"
    try:
        return _read(artifacts, key)
    except ArtifactNotFoundError:
        pass
    with scratch("still") as folder:
        video, picture = folder / "video.mp4", folder / f"picture{kind.suffix}"
        with artifacts.read(job.result["artifact"]) as stream, video.open("wb") as file:
            file.writelines(stream)
        make_still(kind, video, picture)
        artifacts.put(key, picture)
        return picture.read_bytes()


def _read(artifacts: ArtifactStore, key: str) -> bytes:
    with artifacts.read(key) as stream:
        return b"".join(stream)
