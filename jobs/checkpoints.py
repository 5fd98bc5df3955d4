"""The checkpoints of a job in the artifact store: what its next attempt may go on from."""

from __future__ import annotations

import re

from jobs.artifacts import Artifact, ArtifactStore
from jobs.state import Lease

_FOLDER = "checkpoint"
_NAME = re.compile(r"(\d+)-(\d+)\.safetensors")


def checkpoint_key(lease: Lease, step: int) -> str:
    """Where an attempt's checkpoint behind a step lies, such as ``<job>/checkpoint/1-20.safetensors``."""
    return f"{lease.job_id}/{_FOLDER}/{lease.attempt}-{step}.safetensors"


def job_of_checkpoint(key: str) -> str | None:
    """The id of the job that a key's checkpoint belongs to, or None where it is no checkpoint."""
    job_id, _, rest = key.partition("/")
    return job_id if rest.startswith(f"{_FOLDER}/") else None


def newest_checkpoint(artifacts: ArtifactStore, job_id: str) -> Artifact | None:
    """The latest attempt's latest checkpoint, or None where there is none.

    Raises:
        ArtifactStoreUnavailableError: the store cannot be reached.
    """
    found = {
        (int(name[1]), int(name[2])): artifact
        for artifact in artifacts.find(f"{job_id}/{_FOLDER}/")
        if (name := _NAME.fullmatch(artifact.key.rpartition("/")[2]))
    }
    return found[max(found)] if found else None


def forget_checkpoints(artifacts: ArtifactStore, job_id: str) -> None:
    """Delete all checkpoints of a job.

    Raises:
        ArtifactStoreUnavailableError: some may be left.
    """
    for artifact in list(artifacts.find(f"{job_id}/{_FOLDER}/")):
        artifacts.delete(artifact.key)
