"""The input files of a job in the artifact store: put there at submit, gone once the job has ended."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from jobs.artifacts import ArtifactStore

_FOLDER = "in"


def inputs_prefix(job_id: str) -> str:
    """What the keys of a job's inputs begin with."""
    return f"{job_id}/{_FOLDER}/"


def input_key(job_id: str, name: str, suffix: str) -> str:
    """Where a job's input of a name lies, such as ``<job>/in/image.png``."""
    return f"{inputs_prefix(job_id)}{name}.{suffix}"


def job_of_input(key: str) -> str | None:
    """The id of the job that a key's input belongs to, or None where it is no input."""
    job_id, _, rest = key.partition("/")
    return job_id if rest.startswith(f"{_FOLDER}/") else None


def forget_inputs(artifacts: ArtifactStore, job_id: str) -> None:
    """Delete all inputs of a job.

    Raises:
        ArtifactStoreUnavailableError: some may be left; the maintenance sweeps them up later.
    """
    for artifact in artifacts.find(inputs_prefix(job_id)):
        artifacts.delete(artifact.key)


@contextmanager
def local_inputs(artifacts: ArtifactStore, keys: Mapping[str, str]) -> Iterator[Mapping[str, Path]]:
    """Copies of a job's inputs in a local folder, by their names, for as long as the context lasts.

    Raises:
        ArtifactNotFoundError: one is gone.
        ArtifactStoreUnavailableError: the store cannot be reached.
    """
    with TemporaryDirectory(prefix="wanserve-inputs-") as folder:
        files = {name: Path(folder, Path(key).name) for name, key in keys.items()}
        for name, key in keys.items():
            with artifacts.read(key) as stream, files[name].open("xb") as file:
                file.writelines(stream)
        yield files
