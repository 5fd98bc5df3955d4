"""When Redis cannot be reached: one error of ours for the many of its client."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from redis import exceptions

from jobs.errors import StoreUnavailableError

_UNAVAILABLE = (
    exceptions.ConnectionError,
    exceptions.TimeoutError,
    exceptions.BusyLoadingError,
    exceptions.OutOfMemoryError,
    exceptions.ReadOnlyError,
)
# A server that answers but takes no writes: a full disk, a replica without its primary, too few replicas.
# The space tells one that a script keeps busy, such as a backup's, from BUSYKEY.
_REFUSES = ("MISCONF", "MASTERDOWN", "NOREPLICAS", "CLUSTERDOWN", "BUSY ")


@contextmanager
def unavailable() -> Iterator[None]:
    """Turn the errors of a Redis that is away, busy, or takes no writes, into StoreUnavailableError."""
    try:
        yield
    except exceptions.RedisError as error:
        if not isinstance(error, _UNAVAILABLE) and not str(error).startswith(_REFUSES):
            raise
        raise StoreUnavailableError(
            f"The job store does not answer ({error}). Check that Redis runs and that REDIS_URL points at it."
        ) from error
