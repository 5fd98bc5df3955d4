"""What one message leads to: the run of a job, and of the next ones while they are short."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from jobs.dispatch import Dispatcher
from jobs.errors import StoreUnavailableError

STINT_SECONDS = 1.0
"""Short beside what a GPU takes for a video: such jobs still have a message of Celery's each."""

_log = logging.getLogger(__name__)


class Stint:
    """Takes further messages of a queue by itself, for a second.

    Celery needs some milliseconds from the end of one task to the begin of the next, which is a lot only to
    jobs that take little longer. The second is soon over, so that the worker's other queues have their turn.

    Args:
        run: runs the next job of a queue, if there is one.
        messages: where the messages are.
        is_over: whether this process should take nothing more of a queue.
        clock: seconds that only go up.
    """

    def __init__(
        self,
        run: Callable[[str], None],
        messages: Dispatcher,
        is_over: Callable[[str], bool],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._run = run
        self._messages = messages
        self._is_over = is_over
        self._clock = clock

    def work(self, queue: str) -> None:
        """Do what the message says that Celery received, then what further ones say."""
        end = self._clock() + STINT_SECONDS
        self._run(queue)
        while self._clock() < end and not self._is_over(queue) and self._take(queue):
            self._run(queue)

    def _take(self, queue: str) -> bool:
        try:
            return self._messages.take(queue)
        except StoreUnavailableError as error:
            _log.debug("No further message of %s: %s", queue, error)
            return False  # Celery waits for the broker
