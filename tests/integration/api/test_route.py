"""POST /api/v1/route: what it answers, and what it starts."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from api.cached import Cached
from jobs.policy import Policy
from jobs.store_redis import RedisJobStore, connect
from tests.integration.api.conftest import Gateway, parts_with, serving
from wan_models.catalog import CATALOG
from wan_models.models_dir import InstalledModel

GUIDE = {
    "query": "Generate a video of a cat playing in the garden",
    "modality": "text",
    "context": {"prefer_quality": True, "max_duration": 10},
}


@pytest.fixture
def everything(redis_url: str, tmp_path: Path) -> Iterator[Gateway]:
    """A gateway with a tiny model of every task."""
    models = {task: InstalledModel(task, tmp_path / task, tiny=True) for task in CATALOG}
    with connect(redis_url) as redis:
        store = RedisJobStore(redis, Policy())
        parts = parts_with(store, tmp_path, models=Cached(lambda: models, 0))
        with serving(parts, tmp_path) as gateway:
            yield gateway


def route(gateway: Gateway, query: str, *kinds: str, **members):
    attachments = [{"kind": kind, "url": f"https://files.example.com/{kind}"} for kind in kinds]
    body = {"query": query, "attachments": attachments} | members
    answer = gateway.client.post("/api/v1/route", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_the_guides_request_becomes_a_request_for_text_to_video(gateway):
    answer = gateway.client.post("/api/v1/route", json=GUIDE)
    assert answer.status_code == 200
    found = answer.json()
    assert (found["service"], found["task"], found["model"]) == ("wan", "t2v-A14B", "t2v-A14B")
    assert (found["method"], found["endpoint"]) == ("POST", "/generate/text-to-video")
    assert found["parameters"] == {"task": "t2v-A14B", "prompt": "a cat playing in the garden"}
    assert found["confidence"] > 0.9
    assert found["job"] is None


def test_the_parameters_can_be_posted_to_the_endpoint_as_they_are(gateway):
    found = route(gateway, "cat playing piano, vertical, 5s, seed 7, 480p")
    job = gateway.client.post(found["endpoint"], json=found["parameters"])
    assert job.status_code == 202, job.text
    asked = job.json()["request"]
    assert (asked["width"], asked["height"], asked["frame_num"], asked["base_seed"]) == (480, 832, 81, 7)
    assert asked["prompt"] == "cat playing piano"


def test_executed_a_video_query_becomes_a_job(gateway):
    answer = gateway.client.post("/api/v1/route", json=GUIDE | {"execute": True})
    assert answer.status_code == 202
    job = answer.json()["job"]
    assert answer.headers["location"] == f"/jobs/{job['id']}"
    assert gateway.job(job["id"])["request"]["prompt"] == "a cat playing in the garden"
    assert [submitted.id for submitted in gateway.submitted] == [job["id"]]


def test_a_repeated_execution_with_the_same_key_is_the_same_job(gateway):
    send = lambda: gateway.client.post(  # noqa: E731 - twice the same
        "/api/v1/route", json=GUIDE | {"execute": True}, headers={"Idempotency-Key": "once"}
    )
    assert send().json()["job"]["id"] == send().json()["job"]["id"]


@pytest.mark.parametrize(
    ("query", "kinds", "task", "endpoint"),
    [
        ("Animate this photo", ["image"], "i2v-A14B", "/generate/image-to-video"),
        ("Make this portrait say hello", ["image"], "s2v-14B", "/generate/speech-to-video"),
        ("make her dance like in this clip", ["image", "video"], "animate-14B", "/generate/animation"),
        (
            "combine this picture with the text: the boat sails off",
            ["image"],
            "ti2v-5B",
            "/generate/text-image-to-video",
        ),
    ],
)
def test_words_and_attachments_together_tell_the_task(everything, query, kinds, task, endpoint):
    found = route(everything, query, *kinds)
    assert (found["task"], found["endpoint"]) == (task, endpoint)


def test_words_in_quotes_are_what_a_portrait_is_to_say(everything):
    found = route(everything, "have the man in the photo say “Good morning, team!”", "image")
    parameters = found["parameters"]
    assert (parameters["enable_tts"], parameters["tts_text"]) == (True, "Good morning, team!")
    assert parameters["image_path"] == "https://files.example.com/image"
    assert found["missing"] == []


def test_what_a_request_still_needs_is_told_and_asked_for_when_it_is_executed(everything):
    found = route(everything, "animate my photo")
    assert found["missing"] == ["image_path"]
    refused = everything.client.post("/api/v1/route", json={"query": "animate my photo", "execute": True})
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["field"] == "image_path"


def test_speed_is_preferred_where_the_context_says_so(everything):
    query = "a fox in the snow, video"
    assert route(everything, query, context={"prefer_speed": True})["model"] == "ti2v-5B"
    assert route(everything, query, context={"prefer_quality": True})["model"] == "t2v-A14B"


def test_a_model_with_a_live_worker_serves_in_place_of_one_without(everything):
    everything.store.announce("worker-1", ["ti2v-5B"])
    found = route(everything, "a fox in the snow, video")
    assert (found["model"], found["available"]) == ("ti2v-5B", True)
    assert found["fallback"] == {
        "used": True,
        "wanted": "t2v-A14B",
        "reason": "No live worker serves t2v-A14B.",
    }


def test_queues_are_told_with_their_depth(gateway):
    gateway.submit()
    assert route(gateway, "a video of a fox")["queue"] == {"depth": 1, "eta_seconds": None}


def test_nothing_capable_is_a_503_that_tells_what_is_missing_and_the_route(gateway):
    answer = gateway.client.post("/api/v1/route", json={"query": "animate this photo"})
    assert answer.status_code == 503
    problem = answer.json()
    assert "i2v-A14B or ti2v-5B" in problem["detail"]
    assert problem["route"]["task"] == "i2v-A14B"
    assert problem["route"]["fallback"]["reason"] == "No model that can do this is installed."


@pytest.mark.parametrize(
    ("query", "kinds", "service", "endpoint"),
    [
        ("write a script for a video about cats", [], "vllm", "/v1/chat/completions"),
        ("summarize this video", ["video"], "multimodal", "/v1/chat/completions"),
        ("transcribe this clip", ["audio"], "stt", "/v1/audio/transcriptions"),
        ("read this aloud: good evening", [], "tts", "/v1/audio/speech"),
    ],
)
def test_neighbours_that_are_not_configured_are_named_and_not_available(
    gateway, query, kinds, service, endpoint
):
    found = route(gateway, query, *kinds)
    assert (found["service"], found["endpoint"], found["available"]) == (service, endpoint, False)
    assert found["model"] is None
    assert f"{service.upper()}_URLS" in found["reason"]


def test_still_pictures_are_nobodys_work_and_it_says_so(gateway):
    found = route(gateway, "generate an image of a castle")
    assert (found["service"], found["available"], found["endpoint"]) == ("multimodal", False, None)
    assert "still pictures" in found["reason"]


def test_attachments_that_contradict_the_words_make_it_unsure(gateway):
    found = route(gateway, "transcribe this audio", "image")
    assert found["confidence"] <= 0.5
    assert found["alternatives"]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"query": ""}, "query"),
        ({"query": " \n\t"}, "query"),
        ({"query": "cat " * 25_000}, "query"),
        ({"query": 7}, "query"),
        ({"modality": "smell"}, "modality"),
        ({"modality": []}, "modality"),
        ({"modality": ["text", "smell"]}, "modality"),
        ({"attachments": [{"kind": "smell"}]}, "attachments"),
        ({"attachments": [{"kind": "image"}] * 17}, "attachments"),
        ({"context": {"max_duration": -1}}, "context"),
        ({"context": {"prefer_speed": "yes"}}, "context"),
        ({"execute": "yes"}, "execute"),
        ({"quary": "cat"}, "quary"),
    ],
)
def test_bad_input_is_a_problem_that_names_the_field(gateway, changes, field):
    answer = gateway.client.post("/api/v1/route", json=GUIDE | changes)
    assert answer.status_code == 422, answer.text
    assert answer.json()["errors"][0]["field"] == field


@pytest.mark.parametrize(
    "query",
    [
        "\x00",
        "🎬",
        "?",
        "'",
        '"',
        "a" * 8000,
        "“",
        "{s}",
        "((((",
        "\u200b",
        "1" * 8000,
        "5s " * 2000,
        ", " * 4000,
    ],
)
def test_odd_queries_are_answered_or_refused(gateway, query):
    answer = gateway.client.post("/api/v1/route", json={"query": query})
    assert answer.status_code in (200, 422, 503)
    assert answer.status_code != 503 or answer.json()["route"]


def test_an_automatic_task_takes_the_best_model_that_is_live(everything):
    body = {"task": "auto", "prompt": "a fox in the snow", "frame_num": 17}
    first = everything.client.post("/generate/text-to-video", json=body)
    everything.store.announce("worker-1", ["ti2v-5B"])
    second = everything.client.post("/generate/text-to-video", json=body)
    assert (first.status_code, second.status_code) == (202, 202)
    assert (first.json()["task"], second.json()["task"]) == ("t2v-A14B", "ti2v-5B")


def test_an_automatic_task_keeps_to_a_model_that_makes_the_size(everything):
    everything.store.announce("worker-1", ["ti2v-5B"])
    job = everything.client.post(
        "/generate/text-to-video", json={"task": "auto", "prompt": "a fox", "size": "832*480"}
    ).json()
    assert job["task"] == "t2v-A14B"


def test_an_automatic_task_refuses_a_size_that_no_model_makes(everything):
    answer = everything.client.post(
        "/generate/text-to-video", json={"task": "auto", "prompt": "a fox", "size": "1*1"}
    )
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "size"


def test_a_repeated_request_for_an_automatic_task_is_the_same_job_though_the_choice_would_differ(everything):
    body = {"task": "auto", "prompt": "a fox in the snow"}
    headers = {"Idempotency-Key": "fox"}
    first = everything.client.post("/generate/text-to-video", json=body, headers=headers).json()
    everything.store.announce("worker-1", ["ti2v-5B"])
    second = everything.client.post("/generate/text-to-video", json=body, headers=headers).json()
    assert first["id"] == second["id"]
