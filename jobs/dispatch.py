"""Nudges: a Celery message for each job that is queued, which wakes one worker of its queue.

A message holds no prompt, only the queue's name, under the id of the job it was sent for; the worker claims
whatever job is next by then. Messages are written in Celery's own protocol, version 2
(https://docs.celeryq.dev/en/stable/internals/protocol.html), with kombu alone, so that a gateway needs no
Celery application. Losing or doubling one is harmless: the relay counts them and sends what is missing.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from queue import Empty, LifoQueue
from typing import Any
from uuid import uuid4

from kombu import Connection, Producer
from kombu.exceptions import KombuError
from redis.exceptions import RedisError

from jobs.errors import StoreUnavailableError
from jobs.state import Job

TASK_NAME = "wanserve.generate"

_NO_CALLBACKS = {"callbacks": None, "errbacks": None, "chain": None, "chord": None}
_WAIT_SECONDS = 5
_FAULTS = (KombuError, RedisError, OSError, Empty)

_log = logging.getLogger(__name__)


class Dispatcher:
    """Sends nudges over a few broker connections; safe to share between threads."""

    def __init__(self, broker_url: str, connections: int = 16) -> None:
        # The default is to try forever; a submit must not wait for a broker that is away.
        impatient = {"max_retries": 1, "interval_start": 0, "interval_step": 0, "socket_connect_timeout": 2}
        self._broker = Connection(broker_url, transport_options=impatient)
        # Each slot keeps a producer and its channel; kombu's own pool would make both anew for every message.
        self._slots: LifoQueue[Producer | None] = LifoQueue()
        for _ in range(connections):
            self._slots.put(None)

    def nudge(self, job: Job) -> None:
        """Wake a worker of the job's queue.

        A broker that is away is only logged: the record is written, and the relay sends what is missing.
        """
        self._send(job.queue, job.id)

    def wake(self, queue: str) -> None:
        """Wake a worker of a queue for no job in particular. A broker that is away is only logged."""
        self._send(queue, f"relay-{uuid4().hex}")

    def waiting(self, queue: str) -> int:
        """How many messages of a queue no worker has received yet.

        Raises:
            StoreUnavailableError: the broker does not answer.
        """
        try:
            with self._producer() as producer:
                channel: Any = producer.channel  # of the Redis transport, whose client is a Redis
                return int(channel.client.llen(queue))
        except _FAULTS as error:
            raise StoreUnavailableError(f"The broker does not answer ({error}).") from error

    def close(self) -> None:
        """Close every broker connection that is not in use."""
        while not self._slots.empty():
            _discard(self._slots.get_nowait())

    def _send(self, queue: str, message_id: str) -> None:
        try:
            with self._producer() as producer:
                producer.publish(
                    ([queue], {}, _NO_CALLBACKS),
                    exchange="",  # straight to the queue, without looking up bindings in Redis
                    routing_key=queue,
                    serializer="json",
                    correlation_id=message_id,
                    headers={
                        "lang": "py",
                        "task": TASK_NAME,
                        "id": message_id,
                        "root_id": message_id,
                        "argsrepr": f"('{queue}',)",
                        "kwargsrepr": "{}",
                        "ignore_result": True,
                    },
                )
        except _FAULTS as error:
            _log.warning("No nudge for %s (%s), the relay will send it: %s", queue, message_id, error)

    @contextmanager
    def _producer(self) -> Iterator[Producer]:
        """A producer from a free slot, or a new one; one that failed is not used again."""
        producer = self._slots.get(timeout=_WAIT_SECONDS)
        kept = None
        try:
            producer = producer or self._broker.clone().Producer()
            yield producer
            kept = producer
        finally:
            if kept is None:
                _discard(producer)
            self._slots.put(kept)


def _discard(producer: Producer | None) -> None:
    if producer is not None and producer.connection is not None:
        producer.connection.close()
