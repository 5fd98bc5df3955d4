"""Asking how jobs are doing, listing them, and cancelling them."""

import pytest

from jobs.state import ANY_KIND, JobError, Note
from tests.integration.api.conftest import parts_with, serving

UNKNOWN = "job_01m841tz79b74c3p14bqd55sfm"


def test_a_running_job_tells_its_step_its_stage_and_its_percentage(gateway):
    job = gateway.claim(gateway.submit(sample_steps=8)["id"])
    gateway.progress(job, 3)
    seen = gateway.job(job.id)
    assert (seen["status"], seen["stage"], seen["attempt"]) == ("in_progress", "denoising", 1)
    assert (seen["step"], seen["steps"], seen["progress"]) == (3, 8, 37)
    assert seen["queue_position"] is None
    assert seen["started_at"] >= seen["created_at"]


def test_progress_reaches_100_only_with_the_video(gateway):
    job = gateway.claim(gateway.submit(sample_steps=2)["id"])
    gateway.progress(job, 2)
    assert gateway.job(job.id)["progress"] == 99


def test_a_completed_job_links_its_video(gateway):
    job = gateway.job(gateway.finished())
    assert (job["status"], job["progress"], job["eta_seconds"], job["error"]) == (
        "completed",
        100,
        None,
        None,
    )
    assert job["video_url"] == f"http://testserver{job['video_path']}"
    assert job["metrics"] == {"denoise_seconds": 1.5}
    assert job["created_at"] <= job["started_at"] <= job["finished_at"] < job["expires_at"]


def test_links_begin_with_the_public_url_where_one_is_set(gateway, tmp_path):
    done = gateway.finished()
    public = "https://videos.example/wan"
    parts = parts_with(gateway.store, tmp_path, public_url=public)
    with serving(parts, tmp_path) as behind_proxy:
        assert behind_proxy.job(done)["video_url"] == f"{public}/videos/{done}.mp4"


def test_a_failed_job_tells_why(gateway):
    job = gateway.claim(gateway.submit()["id"])
    gateway.store.fail(job.lease, JobError("out_of_memory", "The GPU ran out of memory."))
    seen = gateway.job(job.id)
    assert (seen["status"], seen["video_url"]) == ("failed", None)
    assert seen["error"] == {"code": "out_of_memory", "message": "The GPU ran out of memory."}


def test_with_a_worker_and_a_pace_the_wait_is_estimated(gateway):
    gateway.store.announce("worker-1", ["t2v-A14B"])
    gateway.finished()
    pace = gateway.store.paces("t2v-A14B")[ANY_KIND].rest
    waiting = [gateway.submit()["eta_seconds"] for _ in range(2)]
    assert all(eta is not None and 0 <= eta <= pace * 3 + 1 for eta in waiting)


def test_only_a_job_that_goes_on_says_when_to_ask_again(gateway):
    done, queued = gateway.finished(), gateway.submit()["id"]
    assert "retry-after" in gateway.client.get(f"/jobs/{queued}").headers
    assert "retry-after" not in gateway.client.get(f"/jobs/{done}").headers


def test_a_job_has_a_log_of_its_events_and_of_what_its_workers_noted(gateway):
    job_id = gateway.submit()["id"]
    job = gateway.claim(job_id)
    gateway.progress(job, 1)
    gateway.store.annotate(job_id, [Note(5, "warning", 1, "Once more with less memory")], 5)
    gateway.publish(job)
    log = gateway.client.get(f"/jobs/{job_id}/logs").raise_for_status().json()
    assert log["job_id"] == job_id
    assert [(line["level"], line["attempt"], line["message"]) for line in log["lines"]] == [
        ("info", None, "Queued"),
        ("info", 1, "Attempt 1 begins at worker worker-1"),
        ("warning", 1, "Once more with less memory"),
        ("info", 1, "Completed, denoised in 1.5 s, 17 frames, 0.3 MB"),
    ]
    assert all(line["at"].endswith("Z") for line in log["lines"])
    gateway.client.delete(f"/videos/{job_id}.mp4").raise_for_status()
    assert gateway.client.get(f"/jobs/{job_id}/logs").status_code == 404


@pytest.mark.parametrize(
    "job_id", [UNKNOWN, "x", "job_", UNKNOWN.upper(), f"{UNKNOWN}%0a", "é" * 300, "%00", "%2e%2e"]
)
def test_an_unknown_job_is_not_found(gateway, job_id):
    for answer in (gateway.client.get(f"/jobs/{job_id}"), gateway.client.post(f"/jobs/{job_id}/cancel")):
        assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")


def test_a_queued_job_is_cancelled_at_once(gateway):
    job_id = gateway.submit()["id"]
    answer = gateway.client.post(f"/jobs/{job_id}/cancel")
    assert (answer.status_code, answer.json()["status"]) == (200, "cancelled")
    assert gateway.job(job_id)["status"] == "cancelled"


def test_a_running_job_is_asked_to_stop(gateway):
    job = gateway.claim(gateway.submit()["id"])
    answer = gateway.client.post(f"/jobs/{job.id}/cancel")
    assert (answer.status_code, answer.json()["status"]) == (200, "in_progress")
    assert gateway.store.heartbeat(job.lease)


def test_cancelling_twice_is_no_mistake(gateway):
    job_id = gateway.submit()["id"]
    answers = [gateway.client.post(f"/jobs/{job_id}/cancel") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200] * 3


def test_a_job_that_ended_otherwise_cannot_be_cancelled(gateway):
    answer = gateway.client.post(f"/jobs/{gateway.finished()}/cancel")
    assert (answer.status_code, answer.json()["error_type"]) == (409, "job_ended")
    assert "completed" in answer.json()["detail"]


def test_jobs_are_listed_newest_first_page_by_page(gateway):
    ids = [gateway.submit()["id"] for _ in range(5)]
    pages: list[list[str]] = []
    cursor: str | None = ""
    while cursor is not None:
        page = gateway.client.get(f"/jobs?limit=2{cursor and '&before='}{cursor}").json()
        pages.append([job["id"] for job in page["jobs"]])
        cursor = page["next"]
    assert pages == [ids[:2:-1], ids[2:0:-1], ids[:1]]


def test_a_last_page_that_is_full_is_followed_by_none(gateway):
    for _ in range(2):
        gateway.submit()
    assert gateway.client.get("/jobs", params={"limit": 2}).json()["next"] is None


def test_jobs_are_filtered_by_status_and_by_task(gateway):
    done, queued = gateway.finished(), gateway.submit()["id"]

    def listed(**params: str) -> list[str]:
        return [job["id"] for job in gateway.client.get("/jobs", params=params).json()["jobs"]]

    assert listed(status="queued") == [queued]
    assert listed(status="completed", task="t2v-A14B") == [done]
    assert listed(task="ti2v-5B") == []


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=0", "limit"),
        ("limit=101", "limit"),
        ("limit=many", "limit"),
        ("limit=" + "9" * 5000, "limit"),
        ("status=done", "status"),
        ("task=t2v", "task"),
        ("before=job_1", "before"),
        (f"before={UNKNOWN}%0a", "before"),
        ("page=2", "page"),
        ("%ff=1", "�"),
    ],
)
def test_a_bad_query_is_refused_and_the_parameter_named(gateway, query, field):
    answer = gateway.client.get(f"/jobs?{query}")
    assert answer.status_code == 422
    assert [fault["field"] for fault in answer.json()["errors"]] == [field]
