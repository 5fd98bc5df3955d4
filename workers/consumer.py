"""What a worker's parent process receives messages with."""

from __future__ import annotations

from typing import Any

from celery.worker.consumer import Consumer
from kombu import Queue

from workers.rotation import Rotation


def telling(rotation: Rotation) -> type[Consumer]:
    """Celery's consumer, which an operator may have leave a queue alone: that is told to the rotation."""

    class Telling(Consumer):
        def cancel_task_queue(self, queue: str | Queue) -> None:
            super().cancel_task_queue(queue)
            rotation.tell(self.app.amqp.queues.consume_from)

        def add_task_queue(self, queue: str | Queue, *options: Any, **more: Any) -> Queue:
            added = super().add_task_queue(queue, *options, **more)
            rotation.tell(self.app.amqp.queues.consume_from)
            return added

    return Telling
