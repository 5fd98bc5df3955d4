"""Messages that wake workers: sent by the script that queues a job, in the shape that Celery receives."""

import json
from typing import Any

import pytest
from celery import Celery
from kombu import Connection, Queue

from jobs.dispatch import TASK_NAME, Dispatcher
from jobs.embedded import broker_url
from jobs.errors import StoreUnavailableError
from jobs.policy import Policy
from jobs.state import JobError, NewJob
from jobs.store_redis import RedisJobStore, connect

QUEUE = "t2v-A14B"
FAULT = JobError("oom", "No memory.")


@pytest.fixture
def redis(redis_url):
    with connect(redis_url) as client:
        yield client


@pytest.fixture
def clock():
    return [1_763_000_000.0]


@pytest.fixture
def store(redis, clock) -> RedisJobStore:
    return RedisJobStore(redis, Policy(lease_seconds=30), clock=lambda: clock[0])


@pytest.fixture
def job(store):
    return store.submit(NewJob(id="job_1", queue=QUEUE, spec={"prompt": "a secret"}))


@pytest.fixture
def dispatcher(redis) -> Dispatcher:
    return Dispatcher(redis)


def taken(redis) -> list[dict[str, Any]]:
    """The messages that wait, oldest first; none waits any more."""
    messages: list[bytes] = redis.lrange(QUEUE, 0, -1)
    redis.delete(QUEUE)
    return [json.loads(message) for message in reversed(messages)]


def test_a_job_is_submitted_with_a_message_that_names_its_queue_and_holds_no_prompt(redis, job):
    (message,) = taken(redis)
    assert (message["headers"]["task"], message["headers"]["id"]) == (TASK_NAME, job.id)
    assert json.loads(message["body"])[0] == [QUEUE]
    assert "secret" not in json.dumps(message)


def test_a_job_that_is_there_already_wakes_nobody(redis, store, job):
    taken(redis)
    store.submit(NewJob(id=job.id, queue=QUEUE, spec={}))
    assert taken(redis) == []


@pytest.mark.parametrize("back", ["retry", "release", "rescue"])
def test_whatever_brings_a_job_back_to_its_queue_sends_another_message(redis, store, job, clock, back):
    (first,) = taken(redis)
    lease = store.claim(QUEUE, "w1").lease
    match back:
        case "retry":
            store.retry(lease, FAULT)
        case "release":
            store.release(lease)
        case "rescue":
            clock[0] += 31
            store.rescue()
    (second,) = taken(redis)
    assert second["headers"] == first["headers"]
    assert second["properties"]["delivery_tag"] != first["properties"]["delivery_tag"]


@pytest.mark.parametrize("promoted_by", ["sweep", "claim"])
def test_a_job_that_is_tried_again_after_a_while_sends_its_message_then(
    redis, store, job, clock, promoted_by
):
    store.retry(store.claim(QUEUE, "w1").lease, FAULT, 20)
    (first,) = taken(redis)
    clock[0] += 20
    store.promote() if promoted_by == "sweep" else store.claim(QUEUE, "w2")
    (second,) = taken(redis)
    assert second["headers"] == first["headers"]
    assert second["properties"]["delivery_tag"] != first["properties"]["delivery_tag"]


def test_a_job_that_does_not_come_back_wakes_nobody(redis, store, job):
    taken(redis)
    store.cancel(job.id)
    store.claim(QUEUE, "w1")
    lease = store.submit(NewJob(id="job_2", queue=QUEUE, spec={})) and store.claim(QUEUE, "w1").lease
    taken(redis)
    store.cancel(lease.job_id)
    store.retry(lease, FAULT)
    assert taken(redis) == []


def test_celery_reads_it_acknowledges_it_and_gives_it_back(redis, redis_url, job):
    app = Celery("reader", set_as_current=False)
    app.conf.task_ignore_result = True
    seen = []

    def receive(body: Any, message: Any) -> None:
        seen.append((body[0], message.headers["task"], message.properties["correlation_id"]))
        message.requeue() if len(seen) == 1 else message.ack()

    with Connection(broker_url(redis_url)) as connection:
        queue = Queue(QUEUE, routing_key=QUEUE)
        with connection.Consumer(queue, callbacks=[receive], accept=["json"]):
            for _ in range(2):
                connection.drain_events(timeout=10)
    assert seen == [([QUEUE], TASK_NAME, job.id)] * 2
    assert (redis.llen(QUEUE), redis.hlen("unacked")) == (0, 0)


def test_every_wake_has_a_name_of_its_own(dispatcher, redis):
    for _ in range(2):
        dispatcher.wake(QUEUE)
    assert dispatcher.waiting(QUEUE) == 2
    first, second = taken(redis)
    assert first["headers"]["id"] != second["headers"]["id"]
    assert json.loads(first["body"])[0] == [QUEUE]


def test_a_message_that_is_taken_is_the_oldest_and_gone(dispatcher, redis, store, job):
    store.submit(NewJob(id="job_2", queue=QUEUE, spec={}))
    assert dispatcher.take(QUEUE)
    (left,) = taken(redis)
    assert left["headers"]["id"] == "job_2"
    assert not dispatcher.take(QUEUE)


def test_a_broker_that_is_away_is_told():
    away = Dispatcher(connect("redis://127.0.0.1:1/0"))
    for ask in (away.waiting, away.take, away.wake):
        with pytest.raises(StoreUnavailableError):
            ask(QUEUE)
