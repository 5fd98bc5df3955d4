"""Webhooks by their API: registering, rotating, testing, looking at deliveries, and the URL of a request."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest
from standardwebhooks.webhooks import Webhook
from starlette.testclient import TestClient

from api.app import create_app
from jobs.outbound import Outbound
from jobs.webhook_store import MOST_ENDPOINTS
from tests.integration.api.conftest import BODY, Gateway
from tests.receiver import receiving
from workers.courier import Courier
from workers.deliverer import Deliverer

ENDED = ["video.cancelled", "video.completed", "video.expired", "video.failed"]


@pytest.fixture
def receiver():
    with receiving() as receiver:
        yield receiver


def register(gateway: Gateway, url: str, **more: Any) -> dict[str, Any]:
    answer = gateway.client.post("/webhooks", json={"url": url, **more})
    assert answer.status_code == 201, answer.text
    webhook: dict[str, Any] = answer.json()
    return webhook


def deliver(gateway: Gateway) -> None:
    courier = Courier(Outbound({"127.0.0.1"}), 5)
    store = gateway.parts.webhooks.store
    Deliverer(store, gateway.store, courier, attempt_seconds=5).deliver_due()


def refusal(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json()["errors"][0]["field"]


class TestRegistering:
    def test_a_new_endpoint_has_a_secret_that_is_shown_once(self, gateway):
        answer = gateway.client.post("/webhooks", json={"url": "https://example.com/hook"})
        made = answer.json()
        assert (answer.status_code, answer.headers["location"]) == (201, f"/webhooks/{made['id']}")
        assert re.fullmatch(r"whsec_[A-Za-z0-9+/]{43}=", made["secret"])
        assert (made["events"], made["status"], made["description"]) == (ENDED, "enabled", "")
        shown = {name: value for name, value in made.items() if name != "secret"}
        assert gateway.client.get(f"/webhooks/{made['id']}").json() == shown
        assert gateway.client.get("/webhooks").json() == {"webhooks": [shown]}

    def test_endpoints_are_listed_oldest_first_and_can_be_deleted(self, gateway):
        first, second = (register(gateway, f"https://example.com/{number}") for number in range(2))
        listed = gateway.client.get("/webhooks").json()["webhooks"]
        assert [one["id"] for one in listed] == [first["id"], second["id"]]
        assert gateway.client.delete(f"/webhooks/{first['id']}").status_code == 204
        assert gateway.client.delete(f"/webhooks/{first['id']}").status_code == 404
        assert len(gateway.client.get("/webhooks").json()["webhooks"]) == 1

    def test_there_may_be_so_many_and_no_more(self, gateway):
        for number in range(MOST_ENDPOINTS):
            register(gateway, f"https://example.com/{number}")
        answer = gateway.client.post("/webhooks", json={"url": "https://example.com/more"})
        assert (answer.status_code, answer.json()["error_type"]) == (422, "too_many_webhooks")

    @pytest.mark.parametrize(
        ("changes", "field"),
        [
            ({"url": "http://example.com/"}, "url"),
            ({"url": "https://example.com:22/"}, "url"),
            ({"url": "https://user:secret@example.com/"}, "url"),
            ({"url": "https://10.0.0.1/"}, "url"),
            ({"url": "https://[::1]/"}, "url"),
            ({"url": "ftp://example.com/"}, "url"),
            ({"url": "https://"}, "url"),
            ({"url": "https://exa mple.com/"}, "url"),
            ({"url": 5}, "url"),
            ({"url": "https://example.com/" + "x" * 3000}, "url"),
            ({"events": []}, "events"),
            ({"events": ["video.exploded"]}, "events"),
            ({"description": "x" * 300}, "description"),
            ({"secret": "whsec_mine"}, "secret"),
        ],
    )
    def test_what_cannot_be_is_refused_with_the_field(self, gateway, changes, field):
        answer = gateway.client.post("/webhooks", json={"url": "https://example.com/"} | changes)
        assert refusal(answer) == (422, field)

    @pytest.mark.parametrize(
        ("method", "path"),
        [
            ("GET", "/webhooks/whe_01arz3ndektsv4rrffq69g5fav"),
            ("GET", "/webhooks/default.other"),
            ("GET", "/webhooks/x/deliveries"),
            ("POST", "/webhooks/whe_01arz3ndektsv4rrffq69g5fav/rotate"),
            ("POST", "/webhooks/whe_01arz3ndektsv4rrffq69g5fav/test"),
            ("POST", "/webhooks/whe_01arz3ndektsv4rrffq69g5fav/enable"),
            ("GET", "/webhooks/default/deliveries/x"),
            ("GET", "/webhooks/default/deliveries/whd_01arz3ndektsv4rrffq69g5fav"),
            ("POST", "/webhooks/default/deliveries/whd_01arz3ndektsv4rrffq69g5fav/replay"),
        ],
    )
    def test_what_is_not_there_is_a_404(self, gateway, method, path):
        answer = gateway.client.request(method, path)
        assert (answer.status_code, answer.json()["error_type"]) == (404, "webhook_not_found")

    @pytest.mark.parametrize(("method", "end"), [("DELETE", ""), ("POST", "/test"), ("POST", "/enable")])
    def test_the_default_one_has_no_url_to_act_on(self, gateway, method, end):
        assert refusal(gateway.client.request(method, f"/webhooks/default{end}")) == (422, "webhook_id")


class TestSecrets:
    def test_a_rotation_gives_a_new_one_and_says_how_long_the_old_one_holds(self, gateway):
        made = register(gateway, "https://example.com/")
        rotated = gateway.client.post(f"/webhooks/{made['id']}/rotate").json()
        assert rotated["secret"] != made["secret"]
        assert rotated["previous_secret_until"] is not None
        assert "secret" not in gateway.client.get(f"/webhooks/{made['id']}").json()

    def test_the_default_one_is_had_by_rotating_it(self, gateway, receiver):
        secret = gateway.client.post("/webhooks/default/rotate").json()["secret"]
        gateway.client.post("/generate/text-to-video", json=BODY | {"webhook_url": f"{receiver.url}/ok"})
        gateway.client.post(f"/jobs/{gateway.submitted[0].id}/cancel")
        deliver(gateway)
        message = receiver.next()
        assert Webhook(secret).verify(message.body, message.headers)["type"] == "video.cancelled"

    def test_none_is_ever_logged(self, gateway, receiver, caplog):
        caplog.set_level("DEBUG")
        made = register(gateway, f"{receiver.url}/ok")
        gateway.client.post(f"/webhooks/{made['id']}/test")
        deliver(gateway)
        assert receiver.next()
        assert "whsec_" not in caplog.text
        assert made["secret"].removeprefix("whsec_") not in caplog.text


class TestOfARequest:
    def test_the_url_of_a_request_hears_of_what_it_asked_for(self, gateway, receiver):
        hook = {"webhook_url": f"{receiver.url}/ok", "webhook_events": ["video.queued", "video.completed"]}
        job = gateway.submit(**hook)
        gateway.finish(job["id"])
        deliver(gateway)
        assert receiver.seen["/ok"] == 2
        listed = gateway.client.get("/webhooks/default/deliveries").json()["deliveries"]
        assert {one["type"] for one in listed} == {"video.queued", "video.completed"}
        assert {(one["job_id"], one["webhook_id"]) for one in listed} == {(job["id"], "default")}

    def test_a_form_can_name_them_too(self, gateway, receiver):
        fields = {"webhook_url": f"{receiver.url}/ok", "webhook_events": "video.queued,video.failed"}
        form = {name: (None, str(value)) for name, value in (BODY | fields).items()}
        assert gateway.client.post("/generate/text-to-video", files=form).status_code == 202
        deliver(gateway)
        assert receiver.next().path == "/ok"

    def test_it_shows_in_no_job(self, gateway):
        job = gateway.submit(webhook_url="https://example.com/hook?token=secret")
        assert "token" not in gateway.client.get(f"/jobs/{job['id']}").text

    @pytest.mark.parametrize(
        ("changes", "field"),
        [
            ({"webhook_url": "http://example.com/"}, "webhook_url"),
            ({"webhook_url": "https://169.254.169.254/latest"}, "webhook_url"),
            ({"webhook_url": "https://example.com/", "webhook_events": []}, "webhook_events"),
            ({"webhook_url": "https://example.com/", "webhook_events": ["queued"]}, "webhook_events"),
            ({"webhook_events": ["video.completed"]}, "webhook_events"),
        ],
    )
    def test_what_cannot_be_is_refused_with_the_field(self, gateway, changes, field):
        answer = gateway.client.post("/generate/text-to-video", json=BODY | changes)
        assert refusal(answer) == (422, field)
        assert gateway.submitted == []


class TestDeliveries:
    def test_a_test_message_is_sent_once_and_its_delivery_tells_what_came_of_it(self, gateway, receiver):
        made = register(gateway, f"{receiver.url}/status/503")
        answer = gateway.client.post(f"/webhooks/{made['id']}/test")
        begun = answer.json()
        assert (answer.status_code, begun["status"], begun["job_id"]) == (202, "pending", None)
        deliver(gateway)
        message = receiver.next()
        Webhook(made["secret"]).verify(message.body, message.headers)
        found = gateway.client.get(answer.headers["location"]).json()
        assert (found["status"], found["attempts"], found["next_attempt_at"]) == ("failed", 1, None)
        assert (found["payload"]["type"], found["payload"]["id"]) == ("webhook.test", begun["event_id"])
        (attempt,) = found["log"]
        assert (attempt["number"], attempt["status"], attempt["response"]) == (1, 503, "thanks")
        assert attempt["latency_ms"] >= 0

    def test_a_delivery_can_be_replayed(self, gateway, receiver):
        made = register(gateway, f"{receiver.url}/ok")
        gateway.finished()
        deliver(gateway)
        first = receiver.next()
        (delivered,) = gateway.client.get(f"/webhooks/{made['id']}/deliveries").json()["deliveries"]
        path = f"/webhooks/{made['id']}/deliveries/{delivered['id']}"
        answer = gateway.client.post(f"{path}/replay")
        assert (answer.status_code, answer.json()["status"]) == (202, "pending")
        deliver(gateway)
        assert receiver.next().headers["webhook-id"] == first.headers["webhook-id"]
        assert [attempt["status"] for attempt in gateway.client.get(path).json()["log"]] == [200, 200]

    def test_a_disabled_endpoint_gets_nothing_until_it_is_enabled(self, gateway, receiver):
        made = register(gateway, f"{receiver.url}/status/410")
        gateway.finished()
        deliver(gateway)
        shown = gateway.client.get(f"/webhooks/{made['id']}").json()
        assert (shown["status"], shown["disabled_reason"]) == ("disabled", "gone")
        (failed,) = gateway.client.get(f"/webhooks/{made['id']}/deliveries").json()["deliveries"]
        for path in ("test", f"deliveries/{failed['id']}/replay"):
            answer = gateway.client.post(f"/webhooks/{made['id']}/{path}")
            assert (answer.status_code, answer.json()["error_type"]) == (409, "webhook_disabled")
        assert gateway.client.post(f"/webhooks/{made['id']}/enable").json()["status"] == "enabled"
        assert gateway.client.post(f"/webhooks/{made['id']}/test").status_code == 202

    def test_deliveries_come_in_pages(self, gateway, receiver):
        made = register(gateway, f"{receiver.url}/ok")
        path = f"/webhooks/{made['id']}/deliveries"
        sent = [gateway.client.post(f"/webhooks/{made['id']}/test").json()["id"] for _ in range(5)]
        first = gateway.client.get(path, params={"limit": 3}).json()
        rest = gateway.client.get(path, params={"limit": 3, "before": first["next"]}).json()
        assert [one["id"] for one in first["deliveries"] + rest["deliveries"]] == sent[::-1]
        assert rest["next"] is None
        assert refusal(gateway.client.get(path, params={"before": "x"})) == (422, "before")


class TestTenants:
    def test_what_is_one_tenants_does_not_exist_for_another(self, gateway, receiver):
        """By the store, whose every call names the tenant, and by every route."""
        store = gateway.parts.webhooks.store
        theirs = store.register("whe_01arz3ndektsv4rrffq69g5fav", "theirs", f"{receiver.url}/ok", [])
        assert gateway.client.get("/webhooks").json() == {"webhooks": []}
        for method, path in [
            ("GET", ""),
            ("DELETE", ""),
            ("POST", "/rotate"),
            ("POST", "/enable"),
            ("POST", "/test"),
            ("GET", "/deliveries"),
        ]:
            answer = gateway.client.request(method, f"/webhooks/{theirs.id}{path}")
            assert answer.status_code == 404, path
        assert store.endpoint(theirs.id, "theirs") == theirs


def test_a_url_of_our_own_network_can_be_allowed_by_the_operator(gateway):
    strict = replace(gateway.parts, webhooks=replace(gateway.parts.webhooks, outbound=Outbound()))
    with TestClient(create_app(strict)) as client:
        answer = client.post("/webhooks", json={"url": "http://127.0.0.1:9/"})
        assert refusal(answer) == (422, "url")
    assert register(gateway, "http://127.0.0.1:9/")
