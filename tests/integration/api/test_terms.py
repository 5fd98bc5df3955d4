"""Terms of a request: priority, deadlines, idempotency keys, reuse and caps, through the gateway."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest

from api.deadlines import Deadlines
from api.reservations import Reservations
from jobs.policy import Caps
from jobs.state import JobError, NewJob
from tests.integration.api.conftest import BODY, Gateway, serving

QUEUE = "t2v-A14B"


def post(gateway: Gateway, key: str | None = None, **changes: Any) -> Any:
    """The answer to a request, with an idempotency key if there is one."""
    headers = {"idempotency-key": key} if key is not None else {}
    return gateway.client.post("/generate/text-to-video", json=BODY | changes, headers=headers)


def code(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json()["error_type"]


class TestPriority:
    def test_decides_the_place_in_the_queue(self, gateway):
        jobs = [gateway.submit(priority=priority) for priority in ("low", "normal", "high")]
        assert [gateway.job(job["id"])["queue_position"] for job in jobs] == [3, 2, 1]
        assert [job["priority"] for job in jobs] == ["low", "normal", "high"]
        assert gateway.submit()["priority"] == "normal"

    @pytest.mark.parametrize("priority", ["urgent", "", "HIGH", 1])
    def test_is_one_of_three(self, gateway, priority):
        answer = post(gateway, priority=priority)
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "priority")


class TestDeadlines:
    def test_are_told_in_the_job(self, gateway):
        job = gateway.submit(expires_in=60, timeout=90.5)
        assert job["queue_deadline"] > job["created_at"]
        assert job["timeout"] == 90.5
        running = gateway.claim(job["id"])
        assert running.run_deadline == pytest.approx(running.started_at + 90.5, abs=0.01)

    def test_of_the_task_hold_where_none_is_named(self, gateway):
        job = gateway.submit()
        assert (self.wait(job), job["timeout"]) == (7 * 24 * 3600, 4 * 3600)
        assert self.shown(gateway) == {"t2v-A14B": (604800, 14400), "s2v-14B": (604800, 43200)}

    def test_of_the_operator_hold_where_none_is_named(self, gateway):
        decided = Deadlines({QUEUE: 90.0}, {QUEUE: 30.0})
        with serving(replace(gateway.parts, deadlines=decided), gateway.videos) as decisive:
            job, own = decisive.submit(), decisive.submit(expires_in=5, timeout=6)
            assert [(self.wait(job), job["timeout"]) for job in (job, own)] == [(90, 30), (5, 6)]
            assert self.shown(decisive) == {"t2v-A14B": (90, 30), "s2v-14B": (604800, 43200)}

    @staticmethod
    def wait(job: dict[str, Any]) -> float:
        begin, end = (datetime.fromisoformat(job[name]) for name in ("created_at", "queue_deadline"))
        return (end - begin).total_seconds()

    @staticmethod
    def shown(gateway: Gateway) -> dict[str, tuple[float, float]]:
        models = {model["id"]: model["defaults"] for model in gateway.client.get("/models").json()["models"]}
        return {
            task: (models[task]["expires_in"], models[task]["timeout"]) for task in ("t2v-A14B", "s2v-14B")
        }

    @pytest.mark.parametrize("field", ["expires_in", "timeout"])
    @pytest.mark.parametrize("seconds", [0, -1, 1e9, "60", True])
    def test_are_from_a_second_to_a_week(self, gateway, field, seconds):
        answer = post(gateway, **{field: seconds})
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, field)


class TestAttempts:
    def test_are_told_with_their_workers_and_errors(self, gateway):
        job = gateway.claim(gateway.submit()["id"])
        gateway.store.retry(job.lease, JobError("oom", "No memory."))
        gateway.finish(job.id)
        first, second = gateway.job(job.id)["attempts"]
        assert (first["attempt"], first["worker"]) == (1, "worker-1")
        assert first["error"] == {"code": "oom", "message": "No memory."}
        assert (second["attempt"], second["error"]) == (2, None)
        assert first["started_at"] <= first["ended_at"] <= second["started_at"] <= second["ended_at"]

    def test_tell_when_a_cancel_was_asked_for(self, gateway):
        job = gateway.claim(gateway.submit()["id"])
        assert gateway.job(job.id)["cancel_requested_at"] is None
        gateway.client.post(f"/jobs/{job.id}/cancel")
        assert gateway.job(job.id)["cancel_requested_at"] is not None


class TestAnIdempotencyKey:
    def test_makes_a_repeated_request_the_same_job(self, gateway):
        first, again = post(gateway, "a"), post(gateway, "a")
        assert (first.status_code, again.status_code) == (202, 202)
        assert first.json()["id"] == again.json()["id"]
        assert again.headers["location"] == first.headers["location"]
        assert len(gateway.submitted) == 1
        gateway.finish(first.json()["id"])
        done = post(gateway, "a")
        assert (done.status_code, done.json()["status"]) == (200, "completed")

    def test_compares_fields_and_not_how_they_are_written(self, gateway):
        first = post(gateway, "a", sample_guide_scale=5)
        assert post(gateway, "a", sample_guide_scale=[5.0, 5.0], fps=None).json() == first.json()

    @pytest.mark.parametrize("changes", [{"prompt": "A dog"}, {"priority": "low"}, {"base_seed": 1}], ids=str)
    def test_of_another_request_is_refused(self, gateway, changes):
        post(gateway, "a")
        answer = post(gateway, "a", **changes)
        assert code(answer) == (422, "idempotency_key_used")
        assert answer.json()["errors"][0]["field"] == "Idempotency-Key"
        assert post(gateway, "b", **changes).status_code == 202

    def test_is_free_again_after_a_request_that_was_refused(self, gateway):
        assert post(gateway, "a", frame_num=16).status_code == 422
        assert post(gateway, "a").status_code == 202

    @pytest.mark.parametrize("key", ["", "x" * 256])
    def test_has_a_length(self, gateway, key):
        answer = post(gateway, key)
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "Idempotency-Key")

    def test_is_sent_once(self, gateway):
        headers = [("idempotency-key", "a"), ("idempotency-key", "b")]
        answer = gateway.client.post("/generate/text-to-video", json=BODY, headers=headers)
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "Idempotency-Key")

    def test_is_refused_while_another_request_with_it_is_being_answered(self, gateway):
        gateway.store.reserve("default", "a", "another try")
        parts = replace(gateway.parts, reservations=Reservations(patience_seconds=0.2))
        with serving(parts, gateway.videos) as impatient:
            answer = post(impatient, "a")
        assert code(answer) == (409, "idempotency_key_in_use")
        assert answer.headers["retry-after"]
        gateway.store.unreserve("default", "a", "another try")
        assert post(gateway, "a").status_code == 202

    def test_that_many_send_at_once_makes_one_job(self, gateway):
        with ThreadPoolExecutor(8) as clients:
            answers = list(clients.map(lambda _: post(gateway, "a"), range(16)))
        assert {answer.status_code for answer in answers} <= {202, 409}
        assert len({answer.json()["id"] for answer in answers if answer.status_code == 202}) == 1
        assert len(gateway.submitted) == 1


class TestReuse:
    def test_answers_with_the_finished_video(self, gateway):
        first = gateway.submit(base_seed=7)
        gateway.finish(first["id"])
        answer = post(gateway, base_seed=7, reuse=True, priority="high")
        assert (answer.status_code, answer.json()["id"]) == (200, first["id"])
        assert len(gateway.submitted) == 1

    @pytest.mark.parametrize(
        "changes", [{"base_seed": 8}, {"base_seed": -1}, {"prompt": "A dog"}, {"reuse": False}], ids=str
    )
    def test_is_of_equal_requests_alone(self, gateway, changes):
        gateway.finish(gateway.submit(base_seed=7)["id"])
        assert post(gateway, **({"base_seed": 7, "reuse": True} | changes)).status_code == 202

    def test_makes_the_video_again_when_it_is_gone(self, gateway):
        first = gateway.submit(base_seed=7)
        done = gateway.finish(first["id"])
        gateway.parts.artifacts.delete(done.result["artifact"])
        answer = post(gateway, "a", base_seed=7, reuse=True)
        assert (answer.status_code, answer.json()["id"] != first["id"]) == (202, True)
        assert post(gateway, "a", base_seed=7, reuse=True).json()["id"] == answer.json()["id"]
        assert len(gateway.submitted) == 2


class TestACap:
    def test_on_queued_jobs_is_a_429_that_says_when_to_come_back(self, gateway):
        gateway.store.set_caps("default", Caps(queued=1))
        gateway.submit()
        answer = post(gateway, "a")
        assert code(answer) == (429, "too_many_jobs")
        assert answer.headers["retry-after"]
        gateway.store.claim(QUEUE, "worker-1")
        assert post(gateway, "a").status_code == 202

    def test_of_another_tenant_does_not_matter(self, gateway):
        gateway.store.set_caps("acme", Caps(queued=1))
        for number in range(2):
            gateway.store.submit(NewJob(id=f"job_{number}", queue=QUEUE, spec={}))
        assert post(gateway).status_code == 202
