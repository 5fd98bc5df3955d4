"""What the gateway tells of itself: health, models, its description, its page and its headers."""

from __future__ import annotations

import re
from importlib.metadata import version

import pytest

from tests.integration.api.conftest import BODY
from wan_models.bodies import TextToVideo
from wan_models.catalog import CATALOG


def test_a_healthy_service_says_so_and_who_works(gateway):
    gateway.store.announce("worker-1", ["t2v-A14B", "ti2v-5B"])
    gateway.store.announce("worker-2", ["t2v-A14B"])
    answer = gateway.client.get("/health")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    assert answer.json() == {
        "status": "ok",
        "version": version("wanserve"),
        "store": "ok",
        "artifacts": "ok",
        "workers": {"t2v-A14B": 2, "i2v-A14B": 0, "ti2v-5B": 1, "s2v-14B": 0, "animate-14B": 0},
    }


def test_every_task_is_listed_installed_or_not(gateway):
    gateway.store.announce("worker-1", ["t2v-A14B"])
    gateway.submit()
    models = {model["id"]: model for model in gateway.client.get("/models").json()["models"]}
    assert list(models) == list(CATALOG)
    ours = models["t2v-A14B"]
    assert (ours["installed"], ours["tiny"], ours["available"], ours["install"]) == (True, True, True, None)
    assert (ours["workers"], ours["queued"]) == (1, 1)
    assert {"1280*720", "128*64"} <= set(ours["sizes"])
    other = models["ti2v-5B"]
    assert (other["installed"], other["tiny"], other["available"]) == (False, False, False)
    assert other["install"] == "python scripts/download_wan_models.py --model ti2v-5B"
    assert "128*64" not in other["sizes"]


def test_what_a_model_lists_is_what_a_submit_accepts(gateway):
    ours = gateway.client.get("/models").json()["models"][0]
    for size in ours["sizes"]:
        assert gateway.submit(size=size)["request"]["width"] == int(size.split("*")[0])
    for name in ("sample_steps", "sample_guide_scale", "sample_shift", "fps", "frame_num"):
        limits = ours["limits"][name]
        for value in (limits["minimum"], limits["maximum"]):
            assert gateway.submit(**{name: value})["status"] == "queued"
        for value in (limits["minimum"] - 1, limits["maximum"] + 1):
            body = {"prompt": "a", name: value}
            assert gateway.client.post("/generate/text-to-video", json=body).status_code == 422


def test_what_a_model_lists_as_defaults_is_what_a_bare_request_gets(gateway):
    defaults = gateway.client.get("/models").json()["models"][0]["defaults"]
    request = gateway.client.post("/generate/text-to-video", json={"prompt": "a"}).json()["request"]
    assert defaults["size"] == f"{request['width']}*{request['height']}"
    shared = defaults.keys() & request.keys()
    assert len(shared) == 6
    assert {name: defaults[name] for name in shared} == {name: request[name] for name in shared}


@pytest.mark.parametrize("path", ["/", "/health", "/jobs", "/models", "/openapi.json", "/nowhere"])
def test_every_answer_carries_the_security_headers(gateway, path):
    headers = gateway.client.get(path).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert "default-src 'none'" in headers["content-security-policy"]
    assert "frame-ancestors 'none'" in headers["content-security-policy"]


def test_the_description_tells_of_every_route_of_its_body_and_of_problems(gateway):
    description = gateway.client.get("/openapi.json").json()
    operations = {
        f"{method.upper()} {path}": operation
        for path, methods in description["paths"].items()
        for method, operation in methods.items()
    }
    assert {"GET /jobs/{job_id}/events", "POST /jobs/{job_id}/cancel"} <= operations.keys()
    for operation in operations.values():
        problem = operation["responses"]["default"]["content"]["application/problem+json"]["schema"]
        assert problem == {"$ref": "#/components/schemas/Problem"}
    schemas = description["components"]["schemas"]
    assert schemas["TextToVideo"]["properties"].keys() == TextToVideo.model_fields.keys()
    body = operations["POST /generate/text-to-video"]["requestBody"]["content"]["application/json"]
    assert body["schema"] == {"$ref": "#/components/schemas/TextToVideo"}


def test_every_reference_of_the_description_leads_somewhere(gateway):
    answer = gateway.client.get("/openapi.json")
    names = set(re.findall(r'"#/components/schemas/(\w+)"', answer.text))
    assert names <= answer.json()["components"]["schemas"].keys()


def test_a_request_is_named_in_its_answer_and_in_its_job(gateway):
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    headers = {"x-request-id": "checkout-42", "traceparent": trace}
    answer = gateway.client.post("/generate/text-to-video", json=BODY, headers=headers)
    assert answer.headers["x-request-id"] == "checkout-42"
    job = gateway.store.get(answer.json()["id"])
    assert (job.request_id, job.traceparent) == ("checkout-42", trace)


def test_every_answer_has_a_request_id_even_that_to_a_crash(gateway, monkeypatch):
    monkeypatch.setattr(type(gateway.store), "get", lambda *_: 1 / 0)
    for path, status in (("/", 200), ("/nowhere", 404), ("/jobs/job_01m841tz79b74c3p14bqd55sfm", 500)):
        answer = gateway.client.get(path)
        assert answer.status_code == status
        assert re.fullmatch("[0-9a-f]{32}", answer.headers["x-request-id"])


@pytest.mark.parametrize("path", ["/", "/docs"])
def test_a_page_needs_nothing_from_elsewhere_and_runs_nothing_but_its_own(gateway, path):
    answer = gateway.client.get(path)
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    policy = answer.headers["content-security-policy"]
    assert "unsafe" not in policy
    assert "script-src 'self'" in policy
    assert not re.search(r"""<[^>]*\s(on\w+|style)\s*=|<style|<script>""", answer.text)
    parts = set(re.findall(r"""(?:src|href)=["']([^"']+)""", answer.text)) - {"/", "/docs", "/openapi.json"}
    assert len(parts) > 3
    for part in parts:
        assert part.startswith("/static/")
        found = gateway.client.get(part)
        assert found.status_code == 200
        assert not re.search(r"""https?://(?!www\.w3\.org/2000/svg)""", found.text)
