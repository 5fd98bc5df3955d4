"""Nudges over a real broker: what a message holds, and that a broken connection is no lasting harm."""

import json
import logging
from base64 import b64decode
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from redis import Redis

from jobs.dispatch import TASK_NAME, Dispatcher
from jobs.embedded import broker_url
from jobs.errors import StoreUnavailableError
from jobs.policy import Policy
from jobs.state import Job, NewJob
from jobs.store_memory import MemoryJobStore

QUEUE = "t2v-A14B"


@pytest.fixture
def job() -> Job:
    return MemoryJobStore(Policy()).submit(NewJob(id="job_1", queue=QUEUE, spec={"prompt": "a secret"}))


@pytest.fixture
def dispatcher(redis_url):
    dispatcher = Dispatcher(broker_url(redis_url), connections=2)
    yield dispatcher
    dispatcher.close()


@pytest.fixture
def redis(redis_url):
    with Redis.from_url(redis_url) as client:
        yield client


def waiting(redis: Redis) -> list[dict[str, Any]]:
    messages: Any = redis.lrange(QUEUE, 0, -1)
    return [json.loads(message) for message in messages]


def test_a_message_names_its_queue_and_the_job_it_was_sent_for_and_holds_no_prompt(dispatcher, redis, job):
    dispatcher.nudge(job)
    (message,) = waiting(redis)
    assert (message["headers"]["task"], message["headers"]["id"]) == (TASK_NAME, job.id)
    assert json.loads(b64decode(message["body"]))[0] == [QUEUE]
    assert "secret" not in json.dumps(message) + b64decode(message["body"]).decode()


def test_every_wake_has_a_name_of_its_own(dispatcher, redis):
    for _ in range(2):
        dispatcher.wake(QUEUE)
    first, second = (message["headers"]["id"] for message in waiting(redis))
    assert first != second


def test_more_threads_than_connections_take_turns(dispatcher, redis, job):
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(dispatcher.nudge, [job] * 40))
    assert dispatcher.waiting(QUEUE) == len(waiting(redis)) == 40


def test_messages_share_a_few_connections(dispatcher, redis, job):
    dispatcher.nudge(job)
    before = redis.info("clients")["connected_clients"]
    for _ in range(20):
        dispatcher.nudge(job)
        dispatcher.waiting(QUEUE)
    assert redis.info("clients")["connected_clients"] == before


def test_after_broken_connections_the_next_messages_arrive(dispatcher, redis, job):
    for _ in range(2):
        dispatcher.nudge(job)
    redis.client_kill_filter(_type="normal", skipme=True)
    for _ in range(4):
        dispatcher.nudge(job)
    assert dispatcher.waiting(QUEUE) >= 4


def test_a_broker_that_is_away_is_logged_and_no_error_and_each_try_is_made_anew(job, caplog):
    away = Dispatcher("redis://127.0.0.1:1/0", connections=1)
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            away.nudge(job)
    assert [record.levelname for record in caplog.records if record.name == "jobs.dispatch"] == [
        "WARNING"
    ] * 2
    with pytest.raises(StoreUnavailableError):
        away.waiting(QUEUE)
    away.close()
