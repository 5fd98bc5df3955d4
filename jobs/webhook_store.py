"""Webhook endpoints and deliveries in Redis: webhooks.lua does the work, this module speaks to it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from redis import Redis

from jobs.errors import JobsError, TooManyWebhooksError, WebhookDisabledError, WebhookNotFoundError
from jobs.library import Library
from jobs.redis_errors import unavailable
from jobs.webhook_records import (
    Flat,
    read_attempt,
    read_delivery,
    read_endpoint,
    read_letter,
    write_attempt,
    write_delivery,
)
from jobs.webhooks import (
    Attempt,
    Delivery,
    Endpoint,
    Lane,
    Leased,
    Letter,
    NewDelivery,
    Verdict,
    new_secret,
)

MOST_ENDPOINTS = 20
SLOW_SECONDS = 3.0  # a receiver that takes longer is in the slow lane from then on
OVERLAP_SECONDS = 24 * 3600.0
PATIENCE_SECONDS = 5 * 24 * 3600.0
RETENTION_SECONDS = 7 * 24 * 3600.0
DEFAULT = "default"
"""The name that each tenant calls its own endpoint by which signs for the URLs that requests name."""

_REFUSALS: Mapping[bytes, Callable[[str], JobsError]] = {
    b"missing": WebhookNotFoundError,
    b"disabled": WebhookDisabledError,
    b"many": lambda _: TooManyWebhooksError(MOST_ENDPOINTS),
}
T = TypeVar("T")


class WebhookStore:
    """Endpoints and deliveries, for any number of gateways and deliverers at a time.

    Every method raises StoreUnavailableError when the store cannot be reached; those that take the id of an
    endpoint raise WebhookNotFoundError when the tenant has none of it.

    Args:
        redis: the server that holds the jobs.
        prefix: of every key, the job store's.
        clock: replaces the server's clock, in Unix seconds; production leaves it out.
    """

    def __init__(
        self, redis: Redis, *, prefix: str = "wan:", clock: Callable[[], float] | None = None
    ) -> None:
        self._redis = redis
        self._prefix = prefix
        self._clock = clock
        self._library = Library(redis, "webhooks.lua", begins=("register", "begin"))

    # Endpoints

    def register(
        self, endpoint_id: str, tenant: str, url: str, events: Iterable[str], description: str = ""
    ) -> Endpoint:
        """Create an endpoint with a fresh secret.

        Raises:
            TooManyWebhooksError: the tenant has as many as it may.
        """
        told = json.dumps(sorted(events))
        return read_endpoint(
            self._call("register", endpoint_id, tenant, url, told, new_secret(), description, MOST_ENDPOINTS)
        )

    def endpoint(self, endpoint_id: str, tenant: str) -> Endpoint:
        """One endpoint of a tenant; the default one comes into being when it is first asked for."""
        if endpoint_id == DEFAULT:
            return read_endpoint(self._call("default", _full(DEFAULT, tenant), tenant, new_secret()))
        found = self._read("endpoint", [endpoint_id], read_endpoint)
        if not found or found[0].tenant != tenant:
            raise WebhookNotFoundError(endpoint_id)
        return found[0]

    def endpoints(self, tenant: str) -> list[Endpoint]:
        """The registered endpoints of a tenant, oldest first."""
        with unavailable():
            ids: Any = self._redis.zrange(self._key("endpoints", tenant), 0, -1)
        return self._read("endpoint", [name.decode() for name in ids], read_endpoint)

    def rotate(self, endpoint_id: str, tenant: str) -> Endpoint:
        """Give an endpoint a fresh secret; the old one signs as well for another day."""
        self.endpoint(endpoint_id, tenant)
        full, overlap = _full(endpoint_id, tenant), _ms(OVERLAP_SECONDS)
        return read_endpoint(self._call("rotate", full, tenant, new_secret(), overlap))

    def enable(self, endpoint_id: str, tenant: str) -> Endpoint:
        """Let an endpoint that was disabled be told again, of what happens from now on."""
        return read_endpoint(self._call("enable", endpoint_id, tenant))

    def unregister(self, endpoint_id: str, tenant: str) -> None:
        """Forget an endpoint; what waits for it is not delivered any more."""
        self._call("unregister", endpoint_id, tenant)

    # Deliveries

    def begin(self, delivery: NewDelivery) -> Delivery:
        """Put a delivery on its way that no transition stands behind."""
        return read_delivery(self._call("begin", write_delivery(delivery)))

    def deliveries(
        self, endpoint_id: str, tenant: str, limit: int = 20, before: str | None = None
    ) -> list[Delivery]:
        """Deliveries to an endpoint, newest first, from the one behind the id ``before``."""
        self.endpoint(endpoint_id, tenant)
        bucket, newest = self._key("deliveries", _full(endpoint_id, tenant)), f"({before}" if before else "+"
        with unavailable():
            ids: Any = self._redis.zrange(bucket, newest, "-", desc=True, bylex=True, offset=0, num=limit)
        return self._read("delivery", [name.decode() for name in ids], read_delivery)

    def delivery(self, delivery_id: str, endpoint_id: str, tenant: str) -> Delivery:
        """One delivery to an endpoint.

        Raises:
            WebhookNotFoundError: there is no such delivery, or endpoint.
        """
        for found in self._read("delivery", [delivery_id], read_delivery):
            if (found.tenant, found.endpoint_id) == (tenant, _full(endpoint_id, tenant)):
                return found
        raise WebhookNotFoundError(delivery_id)

    def attempts(self, delivery_id: str) -> list[Attempt]:
        """The last attempts at a delivery, oldest first."""
        with unavailable():
            entries: Any = self._redis.lrange(self._key("tried", delivery_id), 0, -1)
        return [read_attempt(entry) for entry in entries]

    def replay(self, delivery_id: str, tenant: str) -> Delivery:
        """Attempt a delivery again now, as if it were new.

        Raises:
            WebhookNotFoundError: there is no such delivery, or its endpoint was deleted.
            WebhookDisabledError: its endpoint is disabled.
        """
        return read_delivery(self._call("replay", delivery_id, tenant))

    # The deliverer's verbs

    def letters(self, limit: int = 100) -> list[Letter]:
        """Transitions that were not made into deliveries yet, oldest first."""
        with unavailable():
            entries: Any = self._redis.lrange(self._key("outbox"), 0, limit - 1)
        return [read_letter(raw) for raw in entries]

    def accept(self, letter: Letter, deliveries: Iterable[NewDelivery]) -> bool:
        """Put deliveries in the place of a letter. False when another deliverer was faster."""
        answer = self._run("accept", letter.raw, *map(write_delivery, deliveries))
        return bool(answer[0] == b"ok")

    def lease(self, lane: Lane, limit: int, seconds: float) -> list[Leased]:
        """Take up to so many deliveries that are due; what is not settled in time is due again."""
        answers = self._run("lease", lane, limit, _ms(seconds), _ms(RETENTION_SECONDS))[1:]
        return [Leased(read_delivery(delivery), read_endpoint(endpoint)) for delivery, endpoint in answers]

    def settle(self, delivery: Delivery, verdict: Verdict, attempt: Attempt, delay: float = 0) -> str:
        """Write down what an attempt came to; one that outlived its lease changes nothing.

        Args:
            delivery: as it was leased.
            verdict: what becomes of it.
            attempt: what is kept of the attempt.
            delay: seconds until the next one, where there is one.

        Returns:
            Why the endpoint was disabled by this, ``gone`` or ``failing``, or nothing.
        """
        slow = "1" if attempt.seconds > SLOW_SECONDS else ""
        told = (delivery.id, delivery.attempts, verdict, slow, write_attempt(attempt), _ms(delay))
        answer = self._run("settle", *told, _ms(PATIENCE_SECONDS), _ms(RETENTION_SECONDS))
        return str(answer[1].decode()) if answer[0] == b"ok" else ""

    def sweep(self, limit: int = 1000) -> None:
        """Forget finished deliveries whose retention ran out."""
        self._run("sweep", limit)

    def totals(self) -> dict[Verdict, int]:
        """How many attempts came to each verdict, since the store began."""
        with unavailable():
            counts: Any = self._redis.hgetall(f"{self._prefix}verdicts")
        return {verdict: int(counts.get(verdict.encode(), 0)) for verdict in Verdict}

    def now(self) -> float:
        """The store's clock, in Unix seconds."""
        if self._clock:
            return self._clock()
        with unavailable():
            seconds, microseconds = self._redis.time()
        return float(seconds) + microseconds / 1e6

    def _read(self, kind: str, ids: Sequence[str], read: Callable[[Flat], T]) -> list[T]:
        """The records of these ids that are still there."""
        with unavailable():
            reads = self._redis.pipeline(transaction=False)
            for name in ids:
                reads.hgetall(self._key(kind, name))
            found: list[Any] = reads.execute()
        return [
            read([b"id", name.encode(), *(text for pair in fields.items() for text in pair)])
            for name, fields in zip(ids, found, strict=True)
            if fields
        ]

    def _call(self, verb: str, *args: str | int | bytes) -> Flat:
        answer = self._run(verb, *args)
        if answer[0] == b"refused":
            raise _REFUSALS[answer[1]](str(args[0]))
        return answer[1] if len(answer) > 1 else []

    def _run(self, verb: str, *args: str | int | bytes) -> list[Any]:
        now = None if self._clock is None else _ms(self._clock())
        with unavailable():
            return self._library.call(verb, self._prefix, now, *args)

    def _key(self, kind: str, name: str = "") -> str:
        return f"{self._prefix}{kind}:{name}" if name else f"{self._prefix}{kind}"


def _full(endpoint_id: str, tenant: str) -> str:
    return f"{DEFAULT}.{tenant}" if endpoint_id == DEFAULT else endpoint_id


def _ms(seconds: float) -> int:
    return round(seconds * 1000)
