"""Nudges: a Celery message a job, which carries its id and nothing else.

Messages are written in Celery's own protocol, version 2
(https://docs.celeryq.dev/en/stable/internals/protocol.html), with kombu alone, so that a
gateway needs no Celery application and prompts never show in a broker or in Flower.
Losing or doubling one is harmless: workers claim by the record, and the relay sends again.
"""

from __future__ import annotations

import json
import logging

from kombu import Connection
from kombu.exceptions import KombuError
from kombu.pools import ProducerPool
from redis.exceptions import RedisError

from jobs.errors import StoreUnavailableError
from jobs.state import Job

TASK_NAME = "wanserve.generate"

_NO_CALLBACKS = {"callbacks": None, "errbacks": None, "chain": None, "chord": None}
_log = logging.getLogger(__name__)


class Dispatcher:
    """Sends nudges over a pool of broker connections; safe to share between threads."""

    def __init__(self, broker_url: str, connections: int = 16) -> None:
        # The default is to try forever; a submit must not wait for a broker that is away.
        impatient = {"max_retries": 1, "interval_start": 0, "interval_step": 0, "socket_connect_timeout": 2}
        broker = Connection(broker_url, transport_options=impatient)
        self._connections = broker.Pool(connections)
        self._producers = ProducerPool(self._connections, limit=connections)

    def nudge(self, job: Job) -> None:
        """Tell the workers of the job's queue that it can be claimed.

        A broker that is away is only logged: the record is written, and the relay sends again.
        """
        try:
            with self._producers.acquire(block=True, timeout=5) as producer:
                producer.publish(
                    ([job.id], {}, _NO_CALLBACKS),
                    exchange="",  # straight to the queue, without looking up bindings in Redis
                    routing_key=job.queue,
                    serializer="json",
                    correlation_id=job.id,
                    headers={
                        "lang": "py",
                        "task": TASK_NAME,
                        "id": job.id,
                        "root_id": job.id,
                        "argsrepr": f"('{job.id}',)",
                        "kwargsrepr": "{}",
                        "ignore_result": True,
                    },
                )
        except (KombuError, RedisError, OSError) as error:
            _log.warning("No nudge for job %s, the relay will send it: %s", job.id, error)

    def oldest(self, queue: str) -> str | None:
        """The job id in the message that a worker of the queue receives next, or None when there is none.

        Raises:
            StoreUnavailableError: the broker does not answer.
        """
        try:
            with self._connections.acquire(block=True, timeout=5) as connection:
                # kombu pushes at the left end of a list and workers pop from the right.
                message = connection.default_channel.client.lindex(queue, -1)
        except (KombuError, RedisError, OSError) as error:
            raise StoreUnavailableError(f"The broker does not answer ({error}).") from error
        return str(json.loads(message)["headers"]["id"]) if message else None

    def close(self) -> None:
        """Close every broker connection."""
        self._connections.force_close_all()
