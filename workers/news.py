"""Hears of the jobs whose state changed, as the store tells it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from threading import Event

from redis import Redis
from redis.exceptions import RedisError

from jobs.errors import JobsError
from jobs.state import FINAL_STATES, Job, JobState
from jobs.store import JobStore
from jobs.store_redis import FEED_CHANNEL

_POLL_SECONDS = 0.5
_AGAIN_SECONDS = 2.0
_TELLING = {JobState.QUEUED, *FINAL_STATES}

_log = logging.getLogger(__name__)


class News:
    """Calls somebody with each job that was queued or ended. What happens while Redis is away goes unheard.

    Args:
        url: the store's address, as redis-py takes it.
        store: the records.
        hear: who is told.
    """

    def __init__(self, url: str, store: JobStore, hear: Callable[[Job], None]) -> None:
        self._url = url
        self._store = store
        self._hear = hear

    def run(self, stopped: Event) -> None:
        """Listen until stopped."""
        while not stopped.is_set():
            try:
                self._listen(stopped)
            except (RedisError, JobsError, OSError) as error:
                _log.debug("News are not heard: %s", error)
                stopped.wait(_AGAIN_SECONDS)

    def _listen(self, stopped: Event) -> None:
        with (
            Redis.from_url(self._url, socket_connect_timeout=2) as client,
            client.pubsub(ignore_subscribe_messages=True) as channel,
        ):
            channel.subscribe(FEED_CHANNEL)
            while not stopped.is_set():
                message = channel.get_message(timeout=_POLL_SECONDS)
                if message is not None:
                    _, job_id, type_ = message["data"].decode().split(" ")
                    if type_ in _TELLING:
                        self._hear(self._store.get(job_id))
