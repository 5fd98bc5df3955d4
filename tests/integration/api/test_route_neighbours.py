"""Queries that go to neighbouring services, which run as real processes here."""

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from jobs.policy import Policy
from jobs.store_redis import RedisJobStore, connect
from routing.desk import open_desk
from routing.settings import NeighbourSettings
from tests.integration.api.conftest import Gateway, parts_with, serving
from tests.media_files import sound
from tests.servers import serving as running

DATA = "data:audio/wav;base64,UklGRg=="


@contextmanager
def stand_in(*options: str) -> Iterator[str]:
    with running(sys.executable, "-m", "tests.openai_stand_in", *options) as url:
        yield url


@contextmanager
def beside(redis_url: str, tmp_path: Path, **settings: Any) -> Iterator[Gateway]:
    """A gateway with these services beside it."""
    with connect(redis_url) as redis:
        store = RedisJobStore(redis, Policy())
        desk = open_desk(NeighbourSettings(**settings))
        with serving(parts_with(store, tmp_path, desk=desk), tmp_path) as gateway:
            yield gateway


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with stand_in("--name", "one") as url:
        yield url


@pytest.fixture
def gateway(redis_url: str, tmp_path: Path, server: str) -> Iterator[Gateway]:
    services = {f"{name}_urls": server for name in ("vllm", "multimodal", "stt", "tts")}
    with beside(redis_url, tmp_path, **services, vllm_api_key="secret", stt_model="whisper") as gateway:
        yield gateway


def ask(gateway: Gateway, query: str, *attachments: dict[str, str], status: int = 200, **members: Any) -> Any:
    body = {"query": query, "attachments": list(attachments), "execute": True} | members
    answer = gateway.client.post("/api/v1/route", json=body)
    assert answer.status_code == status, answer.text
    return answer


def test_a_service_that_is_there_is_available(gateway):
    found = ask(gateway, "write a haiku about snow", execute=False).json()
    assert (found["service"], found["available"]) == ("vllm", True)


def test_a_question_is_answered_by_the_language_model_with_its_key(gateway):
    found = ask(gateway, "write a haiku about snow").json()
    assert found["answer"]["choices"][0]["message"]["content"] == "you said: write a haiku about snow"
    assert found["answer"]["authorization"] == "Bearer secret"


def test_a_text_is_streamed_through_as_it_is_written(gateway):
    answer = ask(gateway, "write a haiku about snow", stream=True)
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.headers["x-route-service"] == "vllm"
    assert answer.text.count("data: ") == 4
    assert answer.text.endswith("data: [DONE]\n\n")


def test_a_recording_is_fetched_and_sent_as_a_file(gateway):
    found = ask(gateway, "transcribe this", {"kind": "audio", "url": DATA}).json()
    assert found["answer"] == {"text": "4 bytes of recording by whisper"}


def test_an_upload_can_be_transcribed_by_its_tenant(gateway):
    content = sound(0.1)
    upload = gateway.client.post("/uploads", files={"file": ("a.wav", content)}).json()
    found = ask(gateway, "transcribe this", {"kind": "audio", "asset_id": upload["id"]}).json()
    assert found["answer"]["text"].endswith("bytes of recording by whisper")


def test_speech_comes_back_as_sound(gateway):
    answer = ask(gateway, "read this aloud: good evening")
    assert answer.headers["content-type"] == "audio/wav"
    assert answer.content == b"RIFFgood evening"


def test_pictures_go_along_with_the_question(gateway):
    picture = {"kind": "image", "url": "data:image/png;base64,iVBORw0KGgo="}
    found = ask(gateway, "what is in this picture?", picture).json()
    assert "data:image/png;base64,iVBORw0KGgo=" in found["answer"]["choices"][0]["message"]["content"]


@pytest.mark.parametrize(
    "url", ["https://127.0.0.1/x.wav", "https://169.254.169.254/x", "/etc/passwd", "file:///etc/passwd"]
)
def test_attachments_from_our_own_network_or_disk_are_refused(gateway, url):
    problem = ask(gateway, "transcribe this", {"kind": "audio", "url": url}, status=422).json()
    assert problem["errors"][0]["field"] == "attachments"


def test_a_recording_that_is_not_attached_is_asked_for(gateway):
    problem = ask(gateway, "transcribe my recording", status=422).json()
    assert problem["errors"][0]["field"] == "file"


def test_still_pictures_cannot_be_executed(gateway):
    problem = ask(gateway, "draw a castle", status=503).json()
    assert "still pictures" in problem["detail"]


def test_a_service_that_is_not_configured_cannot_be_executed(redis_url, tmp_path):
    with beside(redis_url, tmp_path) as gateway:
        problem = ask(gateway, "write a haiku", status=503).json()
    assert "VLLM_URLS" in problem["detail"]


def test_another_server_answers_where_one_is_down_or_busy(redis_url, tmp_path, server):
    with ExitStack() as stack:
        busy = stack.enter_context(stand_in("--fail", "503"))
        urls = f"http://127.0.0.1:9, {busy}, {server}"
        gateway = stack.enter_context(beside(redis_url, tmp_path, vllm_urls=urls))
        for _ in range(5):
            assert ask(gateway, "write a haiku about snow").json()["answer"]["by"] == "one"


def test_a_service_that_is_down_is_a_503(redis_url, tmp_path):
    with beside(redis_url, tmp_path, vllm_urls="http://127.0.0.1:9") as gateway:
        problem = ask(gateway, "write a haiku about snow", status=503).json()
    assert problem["error_type"] in ("neighbour_unavailable", "no_model")


def test_a_request_that_the_service_refuses_is_the_clients_to_mend(redis_url, tmp_path):
    with (
        stand_in("--fail", "400", "--name", "picky") as url,
        beside(redis_url, tmp_path, vllm_urls=url) as gateway,
    ):
        problem = ask(gateway, "write a haiku about snow", status=422).json()
    assert "picky has a bad day" in problem["detail"]


def test_a_service_that_breaks_is_a_502_that_keeps_its_words_to_itself(redis_url, tmp_path):
    with (
        stand_in("--fail", "500", "--name", "secretive") as url,
        beside(redis_url, tmp_path, vllm_urls=url) as gateway,
    ):
        for _ in range(2):
            answer = gateway.client.post("/api/v1/route", json={"query": "write a haiku", "execute": True})
            assert answer.status_code in (502, 503)
            assert "secretive" not in answer.text


def test_a_prompt_is_elaborated_where_it_is_asked_for_and_the_original_kept(redis_url, tmp_path):
    with (
        stand_in("--says", "A ginger cat leaps through dewy grass.") as url,
        beside(redis_url, tmp_path, vllm_urls=url) as gateway,
    ):
        found = ask(gateway, "a video of a cat", enhance_prompt=True, status=202).json()
    request = found["job"]["request"]
    assert request["prompt"] == "A ginger cat leaps through dewy grass."
    assert request["original_prompt"] == "a cat"


def test_a_language_model_that_is_silent_delays_a_video_by_no_more_than_its_time(redis_url, tmp_path, server):
    with beside(redis_url, tmp_path, vllm_urls=server, enhance_seconds=0.2) as gateway:
        found = ask(gateway, "a video of SILENCE in the snow", enhance_prompt=True, status=202).json()
    assert found["job"]["request"]["prompt"] == "SILENCE in the snow"
    assert "original_prompt" not in found["job"]["request"]
    assert "elaborated" in found["notes"][0]


def test_a_second_opinion_decides_unclear_queries(redis_url, tmp_path):
    unclear = ({"kind": "audio", "url": DATA}, {"kind": "image", "url": DATA}, {"kind": "pose", "url": DATA})
    with (
        stand_in("--says", "stt") as url,
        beside(redis_url, tmp_path, vllm_urls=url, second_opinion=True) as gateway,
    ):
        found = ask(gateway, "hmm draw transcribe what", *unclear[1:], execute=False).json()
    assert found["service"] == "stt"
    assert found["confidence"] == 0.7


def test_a_video_asked_for_directly_can_have_its_prompt_elaborated(redis_url, tmp_path):
    with stand_in("--says", "A vivid fox.") as url, beside(redis_url, tmp_path, vllm_urls=url) as gateway:
        request = gateway.submit(prompt="a fox", enhance_prompt=True)["request"]
    assert (request["prompt"], request["original_prompt"]) == ("A vivid fox.", "a fox")


def test_a_prompt_that_nobody_elaborates_stays_as_it_is_and_the_job_says_so(redis_url, tmp_path):
    with beside(redis_url, tmp_path) as gateway:
        request = gateway.submit(prompt="a fox", enhance_prompt=True)["request"]
    assert request["prompt"] == "a fox"
    assert "elaborated" in request["warnings"][0]
