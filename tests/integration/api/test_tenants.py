"""What belongs to a tenant, nobody else sees: every route there is, asked for another tenant's things."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import httpx
import pytest
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.testclient import TestClient, WebSocketDenialResponse

from api.access import Access
from api.app import create_app
from api.gate import OPEN
from api.routes.page import PARTS
from jobs.keys import Scope
from jobs.keys_memory import MemoryKeyStore
from jobs.state import Job
from jobs.webhook_message import new_delivery
from tests.integration.api.conftest import BODY, Gateway, parts_with
from tests.integration.api.keys import access_with, acting, keyed, token
from tests.integration.api.live import Stream, listening

SECRET_PROMPT = "what acme is working on"
LOOKS = ("GET", "HEAD", "WEBSOCKET")
ENDLESS = ("/events",)  # asked by a test of its own
UNKNOWN = "job_01m841tz79b74c3p14bqd55sfm"


@dataclass(frozen=True)
class Neighbours:
    """Two tenants of one gateway, of which the first has things; and an admin."""

    gateway: Gateway
    nobody: TestClient
    owner: TestClient
    other: TestClient
    reader: TestClient
    admin: TestClient
    queued: str
    done: str
    access: Access

    def jobs(self) -> list[Job]:
        return [self.gateway.store.get(job_id) for job_id in (self.queued, self.done)]


@pytest.fixture
def neighbours(gateway: Gateway) -> Iterator[Neighbours]:
    keys = MemoryKeyStore()
    with keyed(gateway, keys) as client:
        owner = acting(client, token(keys, "acme"))

        def submit() -> str:
            answer = owner.post("/generate/text-to-video", json=BODY | {"prompt": SECRET_PROMPT})
            job_id: str = answer.raise_for_status().json()["id"]
            return job_id

        gateway.finish(done := submit())
        queued = submit()
        for job_id in (queued, done):
            give_webhook(gateway, job_id)
        yield Neighbours(
            gateway=gateway,
            nobody=client,
            owner=owner,
            other=acting(client, token(keys, "rival")),
            reader=acting(client, token(keys, "acme", Scope.READ)),
            admin=acting(client, token(keys, "operators", Scope.ADMIN)),
            queued=queued,
            done=done,
            access=access_with(keys),
        )


def named_after(prefix: str, job_id: str) -> str:
    """The id of something that is not a job, but the job's namesake."""
    return job_id.replace("job_", prefix)


def give_webhook(gateway: Gateway, job_id: str) -> None:
    """Register an endpoint for the owner of a job, with a delivery; both are named after the job."""
    store, webhook_id = gateway.parts.webhooks.store, named_after("whe_", job_id)
    store.register(webhook_id, "acme", "https://acme.example/hook", ["completed"])
    told = {"event_id": "evt_1", "type": "video.completed", "body": "{}"}
    delivery = new_delivery("acme", webhook_id, "https://acme.example/hook", **told)
    store.begin(replace(delivery, id=named_after("whd_", job_id)))


def routes(gateway: Gateway) -> Iterator[tuple[str, str]]:
    """Every method and path that the app serves beside the open ones."""
    for route in every_route(gateway):
        if isinstance(route, WebSocketRoute):
            yield "WEBSOCKET", route.path
            continue
        assert isinstance(route, Route), f"Teach this test to ask {route!r}."
        for method in sorted(route.methods or ()):
            if route.path not in OPEN and not route.path.startswith(PARTS):
                yield method, route.path


def every_route(gateway: Gateway) -> list[BaseRoute]:
    return list(create_app(gateway.parts).routes)


def filled(path: str, job_id: str) -> str:
    """The path with the names of a job's things in it."""
    names = {
        "job_id": job_id,
        "video_id": job_id,
        "batch_id": f"{named_after('batch_', job_id)}_1",
        "filename": f"{job_id}.mp4",
        "step": "1",
        "character_id": "nobody",  # there are none
        "model": "nothing",  # models are everybody's
        "webhook_id": named_after("whe_", job_id),
        "delivery_id": named_after("whd_", job_id),
    }
    unknown = set(re.findall(r"{(\w+)", path)) - names.keys()
    assert not unknown, f"Teach this test what {unknown} of {path} is, so that it can ask for it."
    return re.sub(r"{(\w+)[^}]*}", lambda found: names[found[1]], path)


def asked(client: TestClient, method: str, path: str) -> Any:
    if method == "WEBSOCKET":
        with pytest.raises(WebSocketDenialResponse) as denied, client.websocket_connect(path):
            pass
        return denied.value
    return client.request(method, path, json={} if method in ("POST", "PUT", "PATCH") else None)


def test_without_a_key_nothing_but_the_open_pages_is_served(neighbours):
    for method, path in routes(neighbours.gateway):
        answer = asked(neighbours.nobody, method, filled(path, neighbours.done))
        assert answer.status_code == 401, (method, path)
        assert answer.headers["www-authenticate"] == 'Bearer realm="wanserve"'


def test_the_open_pages_tell_nothing_of_any_job(neighbours):
    for path in OPEN:
        answer = neighbours.nobody.get(path)
        assert neighbours.done not in answer.text
        assert SECRET_PROMPT not in answer.text


def test_a_key_that_may_only_read_changes_nothing_by_any_route(neighbours):
    before = neighbours.jobs()
    for method, path in routes(neighbours.gateway):
        if method not in LOOKS:
            answer = asked(neighbours.reader, method, filled(path, neighbours.queued))
            assert (answer.status_code, answer.json()["error_type"]) == (403, "scope_missing"), (method, path)
    assert neighbours.jobs() == before
    assert neighbours.reader.get(f"/jobs/{neighbours.done}").status_code == 200


def test_what_is_another_tenants_is_answered_by_every_route_like_what_does_not_exist(neighbours):
    before = neighbours.jobs()
    for method, path in routes(neighbours.gateway):
        if "{" not in path:
            continue
        for job_id in (neighbours.queued, neighbours.done):
            theirs = asked(neighbours.other, method, filled(path, job_id))
            nobodys = asked(neighbours.other, method, filled(path, UNKNOWN))
            assert 400 <= theirs.status_code < 500, (method, path)
            assert theirs.status_code == nobodys.status_code, (method, path)
            like = theirs.text.replace(named_after("", job_id), named_after("", UNKNOWN))
            assert like == nobodys.text, (
                method,
                path,
            )
    assert neighbours.jobs() == before


def test_no_list_tells_of_another_tenants_things(neighbours):
    for method, path in routes(neighbours.gateway):
        if method == "GET" and "{" not in path and path not in ENDLESS:
            answer = neighbours.other.get(path)
            assert answer.status_code == 200, path
            assert neighbours.done not in answer.text, path
            assert neighbours.queued not in answer.text, path
            assert SECRET_PROMPT not in answer.text, path


def test_a_stream_of_all_jobs_tells_of_no_other_tenants(neighbours, redis_url, tmp_path):
    since = {"last-event-id": "0-0"}
    parts = parts_with(neighbours.gateway.store, tmp_path, feed=redis_url, access=neighbours.access)
    with listening(parts) as server:
        url = f"http://127.0.0.1:{server.address[1]}/events"

        def first_told(client: TestClient, query: str = "") -> str:
            headers = {"authorization": client.headers["authorization"]} | since
            with httpx.stream("GET", url + query, headers=headers, timeout=60) as response:
                assert response.status_code == 200
                job_id: str = Stream(response).next().data["job_id"]
                return job_id

        own = neighbours.other.post("/generate/text-to-video", json=BODY).json()["id"]
        assert first_told(neighbours.other) == own
        assert first_told(neighbours.owner) == neighbours.done
        assert first_told(neighbours.admin, "?tenant=acme") == neighbours.done
    assert neighbours.other.get("/events?tenant=acme").status_code == 403


def test_counts_are_the_tenants_own(neighbours):
    def queued(client: TestClient) -> int:
        models = client.get("/models").json()["models"]
        return sum(model["queued"] for model in models)

    assert (queued(neighbours.owner), queued(neighbours.other), queued(neighbours.admin)) == (1, 0, 1)


def test_the_owner_reaches_all_of_it(neighbours):
    listed = neighbours.owner.get("/jobs").json()["jobs"]
    assert [job["id"] for job in listed] == [neighbours.queued, neighbours.done]
    assert {job["tenant"] for job in listed} == {"acme"}
    webhook = f"/webhooks/{named_after('whe_', neighbours.done)}"
    delivery = named_after("whd_", neighbours.done)
    assert neighbours.owner.get(f"{webhook}/deliveries/{delivery}").status_code == 200
    assert neighbours.owner.delete(webhook).status_code == 204
    assert neighbours.owner.get(f"/videos/{neighbours.done}.mp4").status_code == 200
    assert neighbours.owner.post(f"/jobs/{neighbours.queued}/cancel").status_code == 200
    assert neighbours.owner.delete(f"/videos/{neighbours.done}.mp4").status_code == 204


def test_an_admin_sees_every_tenants_things_or_those_of_one(neighbours):
    mine = neighbours.admin.post("/generate/text-to-video", json=BODY).json()
    assert mine["tenant"] == "operators"
    assert len(neighbours.admin.get("/jobs").json()["jobs"]) == 3
    listed = neighbours.admin.get("/jobs?tenant=acme").json()["jobs"]
    assert [job["id"] for job in listed] == [neighbours.queued, neighbours.done]
    (video,) = neighbours.admin.get("/videos?tenant=acme").json()["videos"]
    assert video["job_id"] == neighbours.done
    assert neighbours.admin.get("/videos?tenant=rival").json()["videos"] == []
    assert neighbours.admin.get(f"/jobs/{neighbours.done}").json()["tenant"] == "acme"


def test_only_an_admin_may_name_another_tenant(neighbours):
    assert neighbours.other.get("/jobs?tenant=acme").status_code == 403
    assert neighbours.other.get("/videos?tenant=acme").status_code == 403
    assert neighbours.owner.get("/jobs?tenant=acme").status_code == 200


def test_a_page_cannot_begin_at_another_tenants_job_to_learn_of_it(neighbours):
    assert neighbours.other.get(f"/jobs?before={neighbours.queued}").json() == {"jobs": [], "next": None}


def test_the_tenant_of_a_job_cannot_be_chosen_by_its_body(neighbours):
    answer = neighbours.other.post("/generate/text-to-video", json=BODY | {"tenant": "acme"})
    assert answer.status_code == 422


def test_new_routes_are_asked_for_by_these_tests(gateway, tmp_path):
    app = create_app(parts_with(gateway.store, tmp_path))
    app.add_api_route("/jobs/{job_id}/secret", lambda job_id: {"id": job_id})
    app.add_api_route("/things/{thing}", lambda thing: {"id": thing})
    paths = [route.path for route in app.routes if isinstance(route, Route)]
    assert filled(paths[-2], "x") == "/jobs/x/secret"
    with pytest.raises(AssertionError, match="Teach this test"):
        filled(paths[-1], "x")
