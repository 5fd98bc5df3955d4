"""The verbs as functions of a server: they get there by themselves, and heed the state that it is in."""

import socket
from contextlib import suppress
from threading import Thread

import pytest
from redis import Redis

from jobs.embedded import EmbeddedRedis
from jobs.errors import StoreUnavailableError
from jobs.policy import Policy
from jobs.state import JobFilter, NewJob
from jobs.store_redis import RedisJobStore, connect
from jobs.webhook_store import WebhookStore

QUEUE = "t2v-A14B"


@pytest.fixture
def redis(redis_url):
    with connect(redis_url) as client:
        yield client


def new_job(number: int = 1) -> NewJob:
    return NewJob(id=f"job_{number}", queue=QUEUE, spec={"prompt": "a cat"})


def test_a_server_that_lost_the_functions_is_sent_them_again(redis):
    store, webhooks = RedisJobStore(redis, Policy()), WebhookStore(redis)
    store.submit(new_job())
    webhooks.register("hook_1", "acme", "https://example.com/", ["completed"])
    redis.function_flush()
    assert store.get("job_1").state == "queued"
    redis.function_flush()
    assert webhooks.endpoint("hook_1", "acme").url == "https://example.com/"


def test_a_restart_keeps_the_functions(tmp_path):
    with EmbeddedRedis(tmp_path) as server, connect(server.url) as client:
        RedisJobStore(client, Policy()).submit(new_job())
        libraries = [library[1] for library in client.function_list()]
    with EmbeddedRedis(tmp_path) as server, connect(server.url) as client:
        assert [library[1] for library in client.function_list()] == libraries
        assert RedisJobStore(client, Policy()).get("job_1").state == "queued"


@pytest.fixture
def full(redis_url):
    """A client of a server without a byte to spare, and the job that runs there already."""
    with Redis.from_url(redis_url) as admin, connect(redis_url) as client:
        store = RedisJobStore(client, Policy())
        store.submit(new_job())
        job = store.claim(QUEUE, "w1")
        store.submit(new_job(2))
        admin.config_set("maxmemory", 1)
        try:
            yield store, job
        finally:
            admin.config_set("maxmemory", 0)


def test_a_server_without_free_memory_takes_no_job(full):
    store, _ = full
    with pytest.raises(StoreUnavailableError, match="maxmemory"):
        store.submit(new_job(3))
    assert [job.id for job in store.find(JobFilter())] == ["job_2", "job_1"]


def test_a_server_without_free_memory_lets_jobs_run_and_end(full):
    store, job = full
    assert not store.heartbeat(job.lease)
    assert store.succeed(job.lease, {}).state == "completed"
    assert store.cancel("job_2").state == "cancelled"
    store.remove("job_1")
    assert store.claimable(QUEUE) == 0


def test_a_server_that_says_nothing_is_asked_once():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port, heard = server.getsockname()[1], []

        def listen() -> None:
            with suppress(OSError):
                while True:
                    heard.append(server.accept()[0])

        listener = Thread(target=listen)
        listener.start()
        with connect(f"redis://127.0.0.1:{port}") as client, pytest.raises(StoreUnavailableError):
            RedisJobStore(client, Policy()).get("job_1")
        server.shutdown(socket.SHUT_RDWR)
        listener.join()
    assert len(heard) == 1
    heard[0].close()
