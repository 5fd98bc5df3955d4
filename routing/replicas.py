"""Several servers that do the same: each request goes to the one with the fewest outstanding."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from routing.breaker import Breaker


class NoReplicaError(Exception):
    """No server of the service can be asked now."""


@dataclass(slots=True, eq=False)
class Replica:
    """One server. ``model`` is what its ``/v1/models`` names first, None until it was asked."""

    url: str
    breaker: Breaker
    outstanding: int = 0
    served: int = 0
    model: str | None = None


class Replicas:
    """The servers of one service.

    Args:
        urls: where they are.
        clock: seconds from any starting point.
    """

    def __init__(self, urls: Sequence[str], clock: Callable[[], float]) -> None:
        self._all = [Replica(url.rstrip("/"), Breaker(clock)) for url in urls]

    def __iter__(self) -> Iterator[Replica]:
        """Every server, whether it can be asked or not."""
        return iter(self._all)

    def __len__(self) -> int:
        """How many servers there are."""
        return len(self._all)

    @property
    def available(self) -> bool:
        """Whether any server is known to be well, or not known to be ill."""
        return any(replica.breaker.is_closed for replica in self._all)

    @property
    def model(self) -> str | None:
        """What the servers call their model, as far as any has told."""
        return next((replica.model for replica in self._all if replica.model), None)

    @contextmanager
    def lease(self, tried: Collection[Replica] = ()) -> Iterator[Replica]:
        """The server to ask next, counted as busy for as long as the context lasts.

        Args:
            tried: servers that failed this request already.

        Raises:
            NoReplicaError: there is none left.
        """
        order = sorted(self._all, key=lambda one: (one.outstanding, one.served))
        replica = next((one for one in order if one not in tried and one.breaker.may_try()), None)
        if replica is None:
            raise NoReplicaError
        replica.outstanding += 1
        replica.served += 1
        try:
            yield replica
        finally:
            replica.outstanding -= 1
