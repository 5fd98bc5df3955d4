"""Storing a finished file so that it is certainly there: retried, and read back."""

from __future__ import annotations

import hashlib
import logging
import random
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from jobs.artifacts import ArtifactStore
from jobs.errors import ArtifactNotFoundError, ArtifactStoreUnavailableError
from telemetry.owners import for_owner

# Half a minute in all, and less than half of it again by chance, so that a fleet does not come back as one.
_PAUSES_SECONDS = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0)

_log = logging.getLogger(__name__)


def upload(
    artifacts: ArtifactStore,
    key: str,
    file: Path,
    sha256: str,
    *,
    still_wanted: Callable[[], object],
    about: Mapping[str, str] | None = None,
) -> None:
    """Store a file, and read it back; both again, after a pause, while the store fails.

    Args:
        artifacts: where to.
        key: the artifact's key.
        file: the local file.
        sha256: the file's digest, in hexadecimal.
        still_wanted: called before each try; what it raises passes through.
        about: what the file came from, see ArtifactStore.

    Raises:
        ArtifactStoreUnavailableError: the store failed every time.
    """

    def store() -> None:
        still_wanted()
        artifacts.put(key, file, about)
        _read_back(artifacts, key, sha256)

    for pause in _PAUSES_SECONDS:
        try:
            return store()
        except ArtifactStoreUnavailableError as error:
            told = for_owner("The video is not stored yet; trying again")
            _log.warning("%s is not stored yet: %s", key, error, extra=told)
        time.sleep(pause * random.uniform(0.6, 1.4))  # noqa: S311 - no secret
    return store()


def _read_back(artifacts: ArtifactStore, key: str, sha256: str) -> None:
    digest = hashlib.sha256()
    try:
        with artifacts.read(key) as stream:
            for chunk in stream:
                digest.update(chunk)
    except ArtifactNotFoundError as error:
        raise ArtifactStoreUnavailableError("The artifact store does not have what it just took.") from error
    if digest.hexdigest() != sha256:
        raise ArtifactStoreUnavailableError("The artifact store gives back something else than it took.")
