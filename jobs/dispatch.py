"""Nudges: a Celery message for each job that is queued, which wakes one worker of its queue.

A message holds no prompt, only the queue's name, under the id of the job it was sent for; the worker claims
whatever job is next by then. The script that puts a job into its queue sends the message as well, so that
there is never one without the other; what gets lost behind that, the relay counts and sends again.

Messages are written in Celery's protocol, version 2
(https://docs.celeryq.dev/en/stable/internals/protocol.html), and lie where kombu's transport for Redis looks
for them: in a list that has the queue's name, the newest first. So a gateway needs neither of the two.
"""

from __future__ import annotations

import json
from uuid import uuid4

from redis import Redis

from jobs.redis_errors import unavailable

TASK_NAME = "wanserve.generate"

_BODY = [["{queue}"], {}, {"callbacks": None, "errbacks": None, "chain": None, "chord": None}]

NUDGE = json.dumps(
    {
        "body": json.dumps(_BODY),
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": {
            "lang": "py",
            "task": TASK_NAME,
            "id": "{id}",
            "root_id": "{id}",
            "argsrepr": "('{queue}',)",
            "kwargsrepr": "{}",
            "ignore_result": True,
        },
        "properties": {
            "correlation_id": "{id}",
            "delivery_info": {"exchange": "", "routing_key": "{queue}"},
            "delivery_mode": 2,
            "delivery_tag": "{tag}",
            "priority": 0,
        },
    }
)
"""A message, with ``{queue}``, ``{id}`` of a job, and ``{tag}``, which no two messages share, left open."""


class Dispatcher:
    """The messages that no worker has received yet; safe to share between threads."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    def waiting(self, queue: str) -> int:
        """How many messages of a queue there are.

        Raises:
            StoreUnavailableError: the broker does not answer.
        """
        with unavailable():
            return int(self._redis.llen(queue))

    def take(self, queue: str) -> bool:
        """Receive the next message of a queue, as Celery would; whether there was one.

        Raises:
            StoreUnavailableError: the broker does not answer.
        """
        with unavailable():
            return self._redis.rpop(queue) is not None

    def wake(self, queue: str) -> None:
        """Wake a worker of a queue for no job in particular.

        Raises:
            StoreUnavailableError: the broker does not answer.
        """
        name = f"relay-{uuid4().hex}"
        message = NUDGE.replace("{queue}", queue).replace("{id}", name).replace("{tag}", name)
        with unavailable():
            self._redis.lpush(queue, message)
