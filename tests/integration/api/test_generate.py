"""Submitting: what is written down, what is answered, and what is refused."""

import re
from dataclasses import replace
from typing import Any

import pytest

from api.cached import Cached
from jobs.state import JobFilter, JobState
from tests.integration.api.conftest import BODY, Gateway, parts_with, serving
from wan_models.catalog import CATALOG
from wan_models.models_dir import InstalledModel
from wan_models.request import VideoRequest

URL = "/generate/text-to-video"


def refused(gateway: Gateway, status: int, **changes) -> Any:
    """The problem that a body is refused with. Nothing may have been written."""
    answer = gateway.client.post(URL, json=BODY | changes)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    assert gateway.store.count(JobFilter()) == 0
    return answer.json()


def test_a_submitted_job_is_accepted_with_an_address_and_a_time_to_ask_again(gateway):
    answer = gateway.client.post(URL, json=BODY)
    job = answer.json()
    assert answer.status_code == 202
    assert re.fullmatch("job_[0-9a-hjkmnp-tv-z]{26}", job["id"])
    assert answer.headers["location"] == f"/jobs/{job['id']}"
    assert answer.headers["retry-after"] == "1"
    assert gateway.client.get(answer.headers["location"]).json() == job


@pytest.mark.parametrize(
    ("url", "body"),
    [
        (URL, BODY),
        ("/batches", {"request": BODY}),
        ("/v1/videos", {"prompt": "A cat", "size": "128x64"}),
        ("/api/v1/route", {"query": "A video of a cat", "execute": True}),
    ],
)
def test_a_request_without_files_needs_no_room_for_temporary_files(gateway, monkeypatch, url, body):
    monkeypatch.setattr("tempfile.tempdir", "/nowhere")
    assert gateway.client.post(url, json=body).is_success
    assert len(gateway.submitted) == 1


def test_the_job_object_has_exactly_the_promised_fields(gateway):
    job = gateway.submit(base_seed=42)
    assert list(job) == [
        *(
            "id",
            "tenant",
            "task",
            "status",
            "progress",
            "step",
            "steps",
            "stage",
            "queue_position",
            "eta_seconds",
        ),
        *("priority", "attempt", "attempts", "created_at", "started_at", "finished_at"),
        *("cancel_requested_at", "not_before", "queue_deadline", "timeout", "expires_at"),
        *("video_path", "video_url"),
        "preview_url",
        *("error", "warnings", "metrics", "request"),
    ]
    assert job["video_path"] == f"/videos/{job['id']}.mp4"
    assert job["request"]["base_seed"] == 42
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3,6}Z", job["created_at"])
    nothing_yet = ("stage", "eta_seconds", "started_at", "finished_at", "expires_at", "video_url", "metrics")
    assert [job[name] for name in (*nothing_yet, "error")] == [None] * 8
    assert (job["status"], job["progress"], job["step"], job["attempt"]) == ("queued", 0, 0, 0)


def test_the_record_holds_the_request_with_every_default_filled_in(gateway):
    job = gateway.submit(sample_steps=7)
    record = gateway.store.get(job["id"])
    request = VideoRequest.model_validate(record.spec)
    assert (request.width, request.height, request.sample_steps) == (128, 64, 7)
    assert (record.queue, record.progress.steps, record.state) == ("t2v-A14B", 7, JobState.QUEUED)
    assert [submitted.id for submitted in gateway.submitted] == [job["id"]]


def test_without_a_seed_one_is_drawn_and_told(gateway):
    seeds = {gateway.submit()["request"]["base_seed"] for _ in range(3)}
    assert len(seeds) == 3


def test_jobs_are_queued_in_the_order_they_came(gateway):
    assert [gateway.submit()["queue_position"] for _ in range(3)] == [1, 2, 3]


@pytest.mark.parametrize(
    ("changes", "field", "words"),
    [
        ({"task": "t2v-1.3B"}, "task", "t2v-1.3B"),
        ({"task": 5}, "task", "string"),
        ({"sise": "128*64"}, "sise", "no such field"),
        ({"prompt": " \n"}, "prompt", "empty"),
        ({"prompt": "x" * 2001}, "prompt", "2000"),
        ({"prompt": "a\0b"}, "prompt", "control"),
        ({"prompt": None}, "prompt", "string"),
        ({"negative_prompt": "a\0b"}, "negative_prompt", "control"),
        ({"size": "1280*704"}, "size", "1280*720"),
        ({"size": "huge"}, "size", "128*64"),
        ({"frame_num": 16}, "frame_num", "13 and 17"),
        ({"frame_num": 10**30}, "frame_num", "less than"),
        ({"frame_num": "17"}, "frame_num", "integer"),
        ({"sample_steps": 0}, "sample_steps", "greater"),
        ({"sample_steps": 2.5}, "sample_steps", "integer"),
        ({"sample_guide_scale": 99}, "sample_guide_scale", "20"),
        ({"sample_guide_scale": [5]}, "sample_guide_scale", "one number, or a pair"),
        ({"sample_shift": -1}, "sample_shift", "1"),
        ({"base_seed": -2}, "base_seed", "-1"),
        ({"fps": 1000}, "fps", "60"),
    ],
)
def test_a_field_that_is_wrong_is_named_and_no_job_is_made(gateway, changes, field, words):
    problem = refused(gateway, 422, **changes)
    assert [fault["field"] for fault in problem["errors"]] == [field]
    assert words in problem["errors"][0]["message"]
    assert problem["error"]["param"] == field


def test_every_wrong_field_is_named_at_once(gateway):
    problem = refused(gateway, 422, prompt="", sample_steps=0, fps=0)
    assert [fault["field"] for fault in problem["errors"]] == ["fps", "prompt", "sample_steps"]


def test_a_missing_prompt_is_named(gateway):
    problem = gateway.client.post(URL, json={}).json()
    assert problem["errors"] == [{"field": "prompt", "message": "This field is required."}]


@pytest.mark.parametrize("path", [URL, "/batches", "/api/v1/route", "/webhooks", "/v1/videos"])
@pytest.mark.parametrize("content", ["[]", '"a prompt"', "5", "null"])
def test_a_body_that_is_no_object_is_refused(gateway, path, content):
    answer = gateway.client.post(path, content=content, headers={"content-type": "application/json"})
    assert answer.status_code == 422
    assert answer.json()["errors"] == [
        {"field": "body", "message": "Send a JSON object, with the fields as its members."}
    ]


@pytest.mark.parametrize("content", [b"{", b"", b'{"prompt": "\\ud800"}', b'{"prompt": "a", "prompt": "b"}'])
def test_malformed_json_is_no_request(gateway, content):
    answer = gateway.client.post(URL, content=content, headers={"content-type": "application/json"})
    assert (answer.status_code, answer.json()["error_type"]) == (400, "malformed_json")
    assert gateway.store.count(JobFilter()) == 0


@pytest.mark.parametrize("declared", [None, "text/plain", "json", "é"])
def test_a_body_that_is_not_declared_as_json_is_refused(gateway, declared):
    headers = {"content-type": declared.encode("latin-1")} if declared else {}
    answer = gateway.client.post(URL, content=b'{"prompt": "a"}', headers=headers)
    taken = ("application/json", "multipart/form-data", "application/x-www-form-urlencoded")
    assert (answer.status_code, answer.headers["accept"]) == (415, ", ".join(taken))
    assert " or ".join(taken) in answer.json()["detail"]


@pytest.mark.parametrize(
    "declared", ["application/json; charset=utf-8", "Application/JSON", "application/x+json"]
)
def test_every_way_to_declare_json_is_fine(gateway, declared):
    content = b'{"prompt": "a", "size": "64*64"}'
    assert gateway.client.post(URL, content=content, headers={"content-type": declared}).status_code == 202


def test_a_model_that_is_not_installed_is_refused_with_the_command_that_installs_it(gateway, tmp_path):
    parts = parts_with(gateway.store, tmp_path, models=Cached(dict, 0))
    with serving(parts, tmp_path) as bare:
        problem = refused(bare, 422)
    assert problem["error_type"] == "model_not_installed"
    assert "python scripts/download_wan_models.py --model t2v-A14B" in problem["detail"]
    assert [fault["field"] for fault in problem["errors"]] == ["task"]


def test_a_task_that_this_version_cannot_run_is_refused(gateway, monkeypatch):
    idle = {task: replace(spec, pipeline=None) for task, spec in CATALOG.items()}
    monkeypatch.setattr("api.submission.CATALOG", idle)
    problem = refused(gateway, 422)
    assert (problem["error_type"], problem["errors"][0]["field"]) == ("task_unavailable", "task")


def test_a_model_installed_while_the_gateway_runs_is_taken(gateway, tmp_path):
    installed: dict[str, InstalledModel] = {}
    parts = parts_with(gateway.store, tmp_path, models=Cached(lambda: dict(installed), 0))
    with serving(parts, tmp_path) as bare:
        refused(bare, 422)
        installed["t2v-A14B"] = InstalledModel("t2v-A14B", tmp_path, tiny=False)
        assert refused(bare, 422)["errors"][0]["field"] == "size"  # a real model takes no 128*64
        assert bare.submit(size="832*480")["status"] == "queued"
