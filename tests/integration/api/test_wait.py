"""``Prefer: wait``: the answer comes when the job ends, through a real Redis, and no thread waits with it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from jobs.policy import Policy
from jobs.store_redis import RedisJobStore, connect
from tests.integration.api.conftest import BODY, AttendedStore, Gateway, parts_with, serving

URL = "/generate/text-to-video"


def test_a_client_that_waits_gets_the_finished_job(redis_url, tmp_path):
    redis = connect(redis_url)
    with ThreadPoolExecutor() as pool:
        store = AttendedStore(redis, lambda job: pool.submit(gateway.finish, job.id))
        with serving(parts_with(store, tmp_path, feed=redis_url), tmp_path) as gateway:
            answer = gateway.client.post(URL, json=BODY, headers={"prefer": "respond-async, wait=60"})
    redis.close()
    assert (answer.status_code, answer.json()["status"]) == (200, "completed")
    assert answer.headers["preference-applied"] == "wait"
    assert answer.headers["location"] == f"/jobs/{answer.json()['id']}"
    assert "retry-after" not in answer.headers


def test_a_client_that_waited_in_vain_gets_the_job_as_it_is(gateway):
    answer = gateway.client.post(URL, json=BODY, headers={"prefer": "wait=0"})
    assert (answer.status_code, answer.headers["preference-applied"]) == (202, "wait")
    assert answer.json()["status"] == "queued"


@pytest.mark.parametrize("prefer", ["respond-async", "wait=x"])
def test_a_client_that_does_not_wait_is_not_told_that_it_did(gateway, prefer):
    answer = gateway.client.post(URL, json=BODY, headers={"prefer": prefer})
    assert answer.status_code == 202
    assert "preference-applied" not in answer.headers


def test_more_clients_can_wait_than_there_are_threads(gateway: Gateway, redis_url, tmp_path):
    clients = 60  # the pool for blocking work has 40 threads
    all_submitted = Barrier(clients + 1)
    with (
        ThreadPoolExecutor(clients) as pool,
        serving(parts_with(gateway.store, tmp_path, feed=redis_url), tmp_path) as crowded,
    ):

        def ask() -> str:
            all_submitted.wait()
            answer = crowded.client.post(URL, json=BODY, headers={"prefer": "wait=60"})
            status: str = answer.json()["status"]
            return status

        answers = [pool.submit(ask) for _ in range(clients)]
        all_submitted.wait()
        cancelled = 0
        while cancelled < clients:  # served promptly although everybody waits
            queued = crowded.client.get("/jobs?status=queued&limit=100").json()["jobs"]
            for job in queued if len(queued) == clients else []:
                crowded.store.cancel(job["id"])
                cancelled += 1
        assert [answer.result() for answer in answers] == ["cancelled"] * clients


def test_a_job_submitted_at_one_gateway_is_seen_at_another(redis_url, tmp_path):
    redis = connect(redis_url)
    store = RedisJobStore(redis, Policy())
    with (
        serving(parts_with(store, tmp_path, feed=redis_url), tmp_path) as here,
        serving(parts_with(store, tmp_path, feed=redis_url), tmp_path) as there,
    ):
        job = here.submit()
        assert there.job(job["id"]) == job
        there.finish(job["id"])
        assert here.client.get(job["video_path"]).status_code == 200
        assert here.client.delete(job["video_path"]).status_code == 204
        assert there.client.get(f"/jobs/{job['id']}").status_code == 404
    redis.close()


def test_a_client_that_waits_at_one_gateway_hears_of_a_cancel_at_another(redis_url, tmp_path):
    redis = connect(redis_url)
    with ThreadPoolExecutor() as pool:
        store = AttendedStore(redis, lambda job: pool.submit(there.client.post, f"/jobs/{job.id}/cancel"))
        with (
            serving(parts_with(store, tmp_path, feed=redis_url), tmp_path) as here,
            serving(parts_with(store, tmp_path, feed=redis_url), tmp_path) as there,
        ):
            answer = here.client.post(URL, json=BODY, headers={"prefer": "wait=60"})
    redis.close()
    assert (answer.status_code, answer.json()["status"]) == (200, "cancelled")
