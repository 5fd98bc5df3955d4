"""News of job events as they happen, over the store's publish/subscribe channel."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any, NamedTuple, Protocol

from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from jobs.errors import StoreUnavailableError
from jobs.store_redis import FEED_CHANNEL

CHANNEL = FEED_CHANNEL
HEARTBEAT_SECONDS = 15  # a connection that is silent for so long is asked whether it still lives


class News(NamedTuple):
    """One event: the tenant and the job it happened to, and its type."""

    tenant: str
    job_id: str
    type: str


class Feed(Protocol):
    """Where news come from."""

    def listen(self) -> AsyncGenerator[News | None]:
        """Every event from now on. None comes first, once nothing can be missed any more.

        Raises:
            StoreUnavailableError: while iterating, when the connection is lost.
        """
        ...


class RedisFeed:
    """The channel that the store's scripts publish each event to.

    Args:
        url: the store's address, as redis-py takes it.
    """

    def __init__(self, url: str) -> None:
        self._url = url

    async def listen(self) -> AsyncGenerator[News | None]:
        """See Feed."""
        try:
            async with (
                Redis.from_url(self._url, socket_connect_timeout=2) as client,
                client.pubsub() as channel,
            ):
                await channel.subscribe(CHANNEL)
                async for message in _messages(channel):
                    if message["type"] == "subscribe":
                        yield None
                    elif message["type"] == "message":
                        yield News(*message["data"].decode().split(" "))
        except (RedisConnectionError, RedisTimeoutError, OSError) as error:
            raise StoreUnavailableError(f"The feed of job events broke off ({error}).") from error


async def _messages(channel: PubSub) -> AsyncGenerator[dict[str, Any]]:
    """What the server sends. A silent one is pinged, and given up if that gets no answer either."""
    pinged = False
    while True:
        message = await channel.get_message(timeout=HEARTBEAT_SECONDS)
        if message is not None:
            pinged = False
            yield message
        elif pinged:
            raise RedisTimeoutError("no answer to a ping")
        else:
            pinged = True
            await channel.ping()
