"""Every error is a problem with the members that clients look for, and no surprise reaches them."""

import json
import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.testclient import WebSocketDenialResponse

from api.body import MAX_JSON_BYTES
from jobs.embedded import EmbeddedRedis
from jobs.policy import Policy
from jobs.state import JobFilter
from jobs.store_memory import MemoryJobStore
from jobs.store_redis import RedisJobStore, connect
from tests.integration.api.conftest import BODY, AttendedStore, parts_with, serving

URL = "/generate/text-to-video"
MEMBERS = ["type", "title", "status", "detail", "errors", "error", "error_type"]


def assert_problem(answer, status: int) -> None:
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    problem = answer.json()
    assert list(problem) == MEMBERS
    assert problem["status"] == status
    assert problem["type"] == f"urn:wanserve:problem:{problem['error_type']}"
    assert list(problem["error"]) == ["message", "type", "param", "code"]
    assert problem["error"]["message"] == problem["detail"] != ""
    assert problem["error"]["code"] == problem["error_type"]
    assert problem["error"]["type"] == ("server_error" if status >= 500 else "invalid_request_error")
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nowhere", 404),
        ("GET", "/jobs/", 404),
        ("GET", "/../etc/passwd", 404),
        ("GET", "/redoc", 404),
        ("PUT", "/jobs", 405),
        ("PROPFIND", "/jobs", 405),
        ("GET", URL, 405),
        ("POST", URL, 415),
        ("GET", "/jobs?limit=x", 422),
    ],
)
def test_the_errors_of_the_framework_are_problems_too(gateway, method, path, status):
    assert_problem(gateway.client.request(method, path), status)


def test_a_refused_method_is_told_every_method_that_the_address_takes(gateway):
    video = "/videos/job_01m841tz79b74c3p14bqd55sfm.mp4"
    assert gateway.client.put(video).headers["allow"] == "GET, HEAD, DELETE"
    assert gateway.client.get(URL).headers["allow"] == "POST"
    assert gateway.client.put("/v1/videos/extensions").headers["allow"] == "POST"
    assert gateway.client.put("/v1/videos/extension").headers["allow"] == "GET, DELETE"


def test_an_unexpected_error_is_a_problem_that_gives_nothing_away(redis_url, tmp_path):
    def crash(_: object) -> None:
        raise RuntimeError("password=hunter2")

    store = AttendedStore(connect(redis_url), crash)
    with serving(parts_with(store, tmp_path), tmp_path) as broken:
        answer = broken.client.post(URL, json=BODY)
    assert_problem(answer, 500)
    assert "hunter2" not in answer.text


def test_a_body_that_announces_too_much_is_refused_unread(gateway):
    headers = {"content-type": "application/json", "content-length": str(MAX_JSON_BYTES + 1)}
    assert_problem(gateway.client.post(URL, content=json.dumps(BODY).encode(), headers=headers), 413)


def test_a_body_that_announces_nothing_is_refused_once_it_is_too_long(gateway):
    chunks = (b" " * 2**16 for _ in range(MAX_JSON_BYTES // 2**16 + 1))
    answer = gateway.client.post(URL, content=chunks, headers={"content-type": "application/json"})
    assert_problem(answer, 413)


def test_a_body_may_be_as_long_as_the_limit(gateway):
    content = json.dumps(BODY).encode().ljust(MAX_JSON_BYTES)
    answer = gateway.client.post(URL, content=content, headers={"content-type": "application/json"})
    assert answer.status_code == 202


@pytest.mark.parametrize("length", ["-1", "²", "9" * 5000, "0x10", "1e3", "\N{ARABIC-INDIC DIGIT ONE}"])
def test_an_odd_content_length_breaks_nothing(gateway, length):
    headers = {"content-type": "application/json", "content-length": length.encode()}
    answer = gateway.client.post(URL, content=json.dumps(BODY).encode(), headers=headers)
    assert answer.status_code == 202 or 400 <= answer.status_code < 500


@pytest.mark.parametrize("host", ["", "a b", "[::1", "x:port", "x/../y", "é", "user@evil", "a" * 5000])
def test_an_odd_host_breaks_nothing(gateway, host):
    done = gateway.finished()
    answer = gateway.client.get(f"/jobs/{done}", headers={"host": host.encode("latin-1")})
    assert answer.status_code in (200, 403)


def test_a_body_with_very_many_faults_gets_a_short_answer(gateway):
    answer = gateway.client.post(URL, json={f"{index}{'x' * 5000}": 1 for index in range(100)})
    assert_problem(answer, 422)
    assert len(answer.content) < 10_000


FIELDS = [
    "prompt",
    "size",
    "frame_num",
    "sample_steps",
    "sample_guide_scale",
    "base_seed",
    "task",
    "fps",
    "x",
]
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from([0, -1, 10**400, "\0", "1280*720", "128*64", "0*0", 17, 1e308]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
WRONG_BODIES = st.dictionaries(st.sampled_from(FIELDS) | st.text(max_size=8), VALUES, max_size=6).map(
    lambda body: json.dumps({**body, "sample_shift": 0}).encode()  # one fault at least
)


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory):
    """A gateway over a store in memory, quick enough for hundreds of requests."""
    directory = tmp_path_factory.mktemp("fuzzed")
    parts = parts_with(MemoryJobStore(Policy()), directory)
    with serving(parts, directory) as gateway:
        yield gateway


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=WRONG_BODIES | st.binary(max_size=200) | VALUES.map(lambda value: json.dumps(value).encode()))
def test_whatever_is_posted_that_is_wrong_is_refused_and_no_job_made(fuzzed, body):
    answer = fuzzed.client.post(URL, content=body, headers={"content-type": "application/json"})
    assert answer.status_code in (400, 422)
    assert_problem(answer, answer.status_code)
    assert fuzzed.store.count(JobFilter()) == 0


ODD_TEXT = st.text(st.characters(max_codepoint=255, exclude_categories=["Cc"]), max_size=40)
HEADERS = st.sampled_from(["range", "prefer", "if-range", "if-none-match", "content-type", "accept"])


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    method=st.sampled_from(["GET", "POST", "DELETE", "PUT"]),
    place=st.sampled_from(["/jobs/", "/videos/", "/", "/jobs?", "/videos?limit=", "/jobs?before="]),
    rest=st.binary(max_size=40),
    headers=st.dictionaries(HEADERS, ODD_TEXT.map(lambda text: text.encode("latin-1"))),
)
def test_whatever_address_and_headers_come_nothing_breaks(fuzzed, method, place, rest, headers):
    quoted = "".join(f"%{byte:02x}" for byte in rest)
    answer = fuzzed.client.request(method, place + quoted, headers=headers)
    assert answer.status_code < 500
    if answer.status_code >= 400:
        assert_problem(answer, answer.status_code)


def test_without_redis_a_submit_is_refused_and_no_job_is_there_once_it_is_back(tmp_path, caplog):
    caplog.set_level("INFO", "api.outages")
    server = EmbeddedRedis(tmp_path / "redis")
    redis = connect(server.url)
    store = RedisJobStore(redis, Policy())
    server.start()
    with serving(parts_with(store, tmp_path, feed=server.url), tmp_path) as gateway:
        job = gateway.submit()
        server.stop()
        for answer in (
            gateway.client.post(URL, json=BODY),
            gateway.client.get(f"/jobs/{job['id']}"),
            gateway.client.get("/models"),
            gateway.client.delete(job["video_path"]),
        ):
            assert_problem(answer, 503)
            assert answer.headers["retry-after"] == "5"
        assert gateway.client.get("/jobs/no-id").status_code == 404  # which needs no store to know
        health = gateway.client.get("/health")
        assert (health.status_code, health.json()["status"]) == (503, "unavailable")
        assert health.json()["workers"] is None
        server.start()
        assert [seen["id"] for seen in gateway.client.get("/jobs").json()["jobs"]] == [job["id"]]
        assert [submitted.id for submitted in gateway.submitted] == [job["id"]]
        assert gateway.client.get("/health").status_code == 200
    told = [record.message for record in caplog.records if record.name == "api.outages"]
    assert [text.partition(" (")[0].partition(",")[0] for text in told] == [
        "The job store does not answer",
        "The job store answers again",
    ]
    redis.close()
    server.stop()


@pytest.mark.parametrize(
    "declared",
    ["application/json; charset=latin-1", 'application/json; charset="UTF-16"', "a/b+json; charset=x"],
)
def test_json_in_another_character_set_is_refused(gateway, declared):
    answer = gateway.client.post(URL, content=json.dumps(BODY), headers={"content-type": declared})
    assert answer.status_code == 415
    assert answer.json()["error_type"] == "unsupported_media_type"


@pytest.mark.parametrize("declared", ['application/json; charset="utf-8"', "application/json;charset=UTF-8"])
def test_json_in_utf_8_is_taken_however_that_is_written(gateway, declared):
    answer = gateway.client.post(URL, content=json.dumps(BODY), headers={"content-type": declared})
    assert answer.status_code == 202


@pytest.mark.parametrize(
    ("query", "field"),
    [("limit=1&limit=2", "limit"), ("limit=1&x=&l%69mit=1", "limit"), ("nothing=1&nothing=1", "nothing")],
)
def test_a_query_parameter_that_comes_twice_is_named(gateway, query, field):
    for path in ("/jobs", "/videos", "/models"):
        answer = gateway.client.get(f"{path}?{query}")
        assert answer.status_code == 422
        assert answer.json()["errors"] == [{"field": field, "message": "It was sent twice."}]


def test_a_query_parameter_that_no_route_has_is_refused_by_every_route(gateway):
    paths = gateway.client.get("/openapi.json").json()["paths"]
    native = [(path, method) for path in paths if not path.startswith("/v1/") for method in paths[path]]
    assert len(native) > 30
    for path, method in native:
        address = re.sub("{.*?}", "1", path)
        answer = gateway.client.request(method.upper(), f"{address}?nothing=1&limits=")
        assert answer.status_code == 422, address
        if method != "head":
            assert [fault["field"] for fault in answer.json()["errors"]] == ["limits", "nothing"], address


def test_a_socket_refuses_them_as_well(gateway):
    job = gateway.submit()
    with (
        pytest.raises(WebSocketDenialResponse) as refused,
        gateway.client.websocket_connect(f"/ws/jobs/{job['id']}?nothing=1"),
    ):
        pass
    assert refused.value.json()["errors"] == [{"field": "nothing", "message": "There is no such field."}]
