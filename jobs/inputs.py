"""The input files of a job in the artifact store: put there at submit, gone once the job has ended.

A job's spec names their keys in its member ``inputs``, by the name of each; that member is the one part of
a spec that this room looks at.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from jobs.artifacts import ArtifactStore
from jobs.scratch import scratch
from jobs.state import Job

_FOLDER = "in"


def input_key(job_id: str, name: str, suffix: str) -> str:
    """Where a job's input of a name lies, such as ``<job>/in/image.png``."""
    return f"{job_id}/{_FOLDER}/{name}.{suffix}"


def job_of_input(key: str) -> str | None:
    """The id of the job that a key's input belongs to, or None where it is no input."""
    job_id, _, rest = key.partition("/")
    return job_id if rest.startswith(f"{_FOLDER}/") else None


def forget_inputs(artifacts: ArtifactStore, job: Job) -> None:
    """Delete all inputs of a job, and what was made of them.

    Raises:
        ArtifactStoreUnavailableError: some may be left; the maintenance sweeps them up later.
    """
    if job.spec.get("inputs"):
        for artifact in list(artifacts.find(f"{job.id}/{_FOLDER}/")):
            artifacts.delete(artifact.key)


@contextmanager
def local_inputs(artifacts: ArtifactStore, keys: Mapping[str, str]) -> Iterator[Mapping[str, Path]]:
    """Copies of a job's inputs in a local folder, by their names, for as long as the context lasts.

    Raises:
        ArtifactNotFoundError: one is gone.
        ArtifactStoreUnavailableError: the store cannot be reached.
    """
    if not keys:  # as for a video from a prompt, which needs no folder either
        yield {}
        return
    with scratch("inputs") as folder:
        files = {name: Path(folder, Path(key).name) for name, key in keys.items()}
        for name, key in keys.items():
            with artifacts.read(key) as stream, files[name].open("xb") as file:
                file.writelines(stream)
        yield files
