"""Keeping a client's key while its request is answered, and giving it up when that came to nothing."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import uuid4

from fastapi.concurrency import run_in_threadpool
from starlette.requests import Request

from api.idempotency import Reservation, key_of
from api.tenancy import ClientStore
from jobs.errors import KeyReservedError, StoreUnavailableError
from jobs.state import DEFAULT_TENANT

_LOOK_SECONDS = 0.1
_RETURN_SECONDS = 20.0  # by then the store has forgotten a reservation that was not used
_RETURN_PAUSE_SECONDS = 0.5

_log = logging.getLogger(__name__)


class Reservations:
    """The keys that requests to this gateway keep.

    A key whose request failed because the store is away is given up as soon as that is back. A client may
    repeat the request by then, was even told to, and must not be refused for its own first try. So a request
    waits a while for a key that another one keeps.

    Args:
        patience_seconds: how long that is.
    """

    def __init__(self, patience_seconds: float = 2.0) -> None:
        self._patience_seconds = patience_seconds
        self._returns: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def of(self, request: Request, store: ClientStore) -> AsyncIterator[Reservation | None]:
        """Keep the request's key while the request is answered; None where it brings none.

        A block that raises gives the key up, so that the client may try again with it.

        Raises:
            InvalidRequestError: the header is no key.
            KeyReservedError: another request with this key is still being answered.
            StoreUnavailableError: the store does not answer.
        """
        key = key_of(request)
        if key is None:
            yield None
            return
        reservation = Reservation(key, uuid4().hex)
        try:
            await self._reserve(reservation, store)
            yield reservation
        except KeyReservedError:
            raise
        except StoreUnavailableError:  # what it did not answer it may have done
            self._return_later(reservation, store)
            raise
        except Exception:
            await self._return(reservation, store)
            raise
        except BaseException:  # cancelled, and may not wait
            self._return_later(reservation, store)
            raise

    async def _reserve(self, reservation: Reservation, store: ClientStore) -> None:
        clock = asyncio.get_running_loop().time
        give_up_at = clock() + self._patience_seconds
        while True:
            try:
                await run_in_threadpool(store.reserve, DEFAULT_TENANT, reservation.key, reservation.token)
            except KeyReservedError:
                if clock() >= give_up_at:
                    raise
                await asyncio.sleep(_LOOK_SECONDS)
            else:
                return

    async def _return(self, reservation: Reservation, store: ClientStore) -> None:
        try:
            await run_in_threadpool(store.unreserve, DEFAULT_TENANT, reservation.key, reservation.token)
        except StoreUnavailableError:
            self._return_later(reservation, store)

    def _return_later(self, reservation: Reservation, store: ClientStore) -> None:
        task = asyncio.create_task(_insist_on_returning(reservation, store))
        self._returns.add(task)
        task.add_done_callback(self._returns.discard)


async def _insist_on_returning(reservation: Reservation, store: ClientStore) -> None:
    clock = asyncio.get_running_loop().time
    give_up_at, answers = clock() + _RETURN_SECONDS, 0
    # Twice: a server that was stopped takes up what it had received in any order.
    while answers < 2 and clock() < give_up_at:  # noqa: PLR2004 - see above
        try:
            await run_in_threadpool(store.unreserve, DEFAULT_TENANT, reservation.key, reservation.token)
            answers += 1
        except StoreUnavailableError as error:
            _log.debug("An idempotency key is not given up yet: %s", error)
        await asyncio.sleep(_RETURN_PAUSE_SECONDS)
