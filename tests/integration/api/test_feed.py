"""News of job events over a real Redis, as long as it is there."""

from __future__ import annotations

import asyncio

import pytest

from api import feed
from api.feed import News, RedisFeed
from jobs.embedded import EmbeddedRedis
from jobs.errors import StoreUnavailableError
from jobs.policy import Policy
from jobs.state import NewJob
from jobs.store_redis import RedisJobStore, connect

JOB = NewJob(id="job_1", queue="t2v-A14B", spec={})


def test_the_feed_tells_when_it_listens_and_then_every_event(redis_url):
    async def scenario() -> list[News | None]:
        news = RedisFeed(redis_url).listen()
        heard = [await anext(news)]
        with connect(redis_url) as redis:
            store = RedisJobStore(redis, Policy())
            await asyncio.to_thread(store.submit, JOB)
            await asyncio.to_thread(store.cancel, JOB.id)
        heard += [await anext(news), await anext(news)]
        return heard

    assert asyncio.run(scenario()) == [None, News("job_1", "queued"), News("job_1", "cancelled")]


def test_a_feed_goes_on_after_silence(redis_url, monkeypatch):
    monkeypatch.setattr(feed, "HEARTBEAT_SECONDS", 0.01)

    async def scenario() -> News | None:
        news = RedisFeed(redis_url).listen()
        await anext(news)
        with connect(redis_url) as redis:
            redis.ping()  # so that there is a count
            pings = redis.info("commandstats")["cmdstat_ping"]["calls"]
            hearing = asyncio.ensure_future(anext(news))
            while redis.info("commandstats")["cmdstat_ping"]["calls"] < pings + 3:  # noqa: ASYNC110 - the server counts
                await asyncio.sleep(0)
            await asyncio.to_thread(RedisJobStore(redis, Policy()).submit, JOB)
        return await hearing

    assert asyncio.run(scenario()) == News("job_1", "queued")


def test_a_feed_that_loses_its_server_says_so(tmp_path):
    async def scenario() -> None:
        server = EmbeddedRedis(tmp_path)
        server.start()
        news = RedisFeed(server.url).listen()
        await anext(news)
        await asyncio.to_thread(server.stop)
        with pytest.raises(StoreUnavailableError):
            await anext(news)
        with pytest.raises(StoreUnavailableError):
            await anext(RedisFeed(server.url).listen())

    asyncio.run(scenario())


def test_a_server_that_answers_no_ping_is_given_up(monkeypatch):
    monkeypatch.setattr(feed, "HEARTBEAT_SECONDS", 0.01)

    async def scenario() -> None:
        async def subscribe_only(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while command := await reader.read(1000):
                if b"SUBSCRIBE" in command:
                    writer.write(b"*3\r\n$9\r\nsubscribe\r\n$8\r\nwan:feed\r\n:1\r\n")
                elif b"PING" not in command:
                    writer.write(b"+OK\r\n" * command.count(b"*"))
            writer.close()

        async with await asyncio.start_server(subscribe_only, "127.0.0.1", 0) as mute:
            port = mute.sockets[0].getsockname()[1]
            news = RedisFeed(f"redis://127.0.0.1:{port}?protocol=2").listen()
            assert await anext(news) is None
            with pytest.raises(StoreUnavailableError, match="ping"):
                await anext(news)

    asyncio.run(scenario())
