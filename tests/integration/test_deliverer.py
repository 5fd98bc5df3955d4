"""Webhooks from a job's transition to a receiver that may do anything, through a real Redis."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any
from urllib.parse import quote

import pytest
from openai import OpenAI
from redis import Redis
from standardwebhooks.webhooks import Webhook

from jobs.errors import WebhookNotFoundError
from jobs.outbound import Outbound
from jobs.policy import Policy
from jobs.state import JobError, NewJob
from jobs.store_redis import RedisJobStore, connect
from jobs.webhook_message import envelope, new_delivery
from jobs.webhook_store import DEFAULT, OVERLAP_SECONDS, PATIENCE_SECONDS, RETENTION_SECONDS, WebhookStore
from jobs.webhooks import (
    DELAYS,
    Attempt,
    Delivery,
    DeliveryState,
    Endpoint,
    Hook,
    Lane,
    Verdict,
)
from tests.receiver import Message, Receiver, receiving
from workers.courier import Courier
from workers.deliverer import AT_ONCE, Deliverer

FINAL = frozenset({"completed", "failed", "cancelled", "expired"})
LEASE = 25.0
RECORDS = ("delivery", "deliveries", "tried", "waiting", "flying", "receivers")
SETS = ("tenants", "flights", "suspects", "proven")
TRACES = {f"wan:{kind}" for kind in (*RECORDS, *SETS)}


class Clock:
    """The clock of store and couriers: real time, and what a test lets pass."""

    def __init__(self) -> None:
        self.time = float(int(datetime.now(UTC).timestamp()))

    def __call__(self) -> float:
        return self.time


class Service:
    """A job store, its webhooks, and what a deliverer does, step by step."""

    def __init__(self, redis: Redis, clock: Clock) -> None:
        self.redis = redis
        self.clock = clock
        self.jobs = RedisJobStore(redis, Policy(), clock=clock)
        self.store = WebhookStore(redis, clock=clock)
        self.submitted = 0

    def submit(self, hook: Hook | None = None, tenant: str = "default") -> str:
        self.submitted += 1
        job_id = f"job_{self.submitted:04}"
        self.jobs.submit(
            NewJob(
                id=job_id,
                queue="q",
                spec={"prompt": "A secret cat"},
                tenant=tenant,
                hook=hook,
                request_id="req_1",
                traceparent="00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            )
        )
        return job_id

    def complete(self, hook: Hook | None = None) -> str:
        job_id = self.submit(hook)
        job = self.jobs.claim("q", "w1")
        assert job is not None
        self.jobs.succeed(job.lease, {"metrics": {"denoise_seconds": 2.5}})
        return job_id

    def register(self, url: str, events: Sequence[str] = tuple(FINAL), tenant: str = "default") -> Endpoint:
        return self.store.register(f"we_{len(self.store.endpoints(tenant))}", tenant, url, events)

    def deliver(self, resolve: Callable[[str, int], Sequence[str]] | None = None) -> None:
        """Deliver what is due now, and come back when nothing is under way any more."""
        outbound = Outbound({"127.0.0.1"}, resolve) if resolve else Outbound({"127.0.0.1"})
        deliverer = Deliverer(
            self.store,
            self.jobs,
            Courier(outbound, 1.0, self.clock),
            attempt_seconds=LEASE - 10,
            public_url="https://videos.example",
        )
        deliverer.deliver_due()

    def delivery(self, endpoint_id: str, tenant: str = "default") -> Delivery:
        (delivery,) = self.store.deliveries(endpoint_id, tenant)
        return delivery

    def last_attempt(self, delivery: Delivery) -> Attempt:
        return self.store.attempts(delivery.id)[-1]


@pytest.fixture
def service(redis_url: str) -> Iterator[Service]:
    with connect(redis_url) as redis:
        service = Service(redis, Clock())
        service.store.endpoint(DEFAULT, "default")
        yield service


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


def verify(secret: str, message: Message) -> dict[str, Any]:
    told: dict[str, Any] = Webhook(secret).verify(message.body, message.headers)
    return told


class TestWhatIsTold:
    def test_an_endpoint_hears_of_the_states_that_it_asked_for(self, service, receiver):
        service.register(f"{receiver.url}/ok", ["queued", "completed"])
        job_id = service.complete()
        service.deliver()
        told = sorted((json.loads(receiver.next().body) for _ in range(2)), key=lambda one: one["id"])
        assert [one["type"] for one in told] == ["video.queued", "video.completed"]
        assert receiver.got.empty()
        data = told[1]["data"]
        assert (data["id"], data["status"], data["task"], data["attempt"]) == (job_id, "completed", "q", 1)
        assert data["video_url"] == f"https://videos.example/videos/{job_id}.mp4"
        assert data["metrics"] == {"denoise_seconds": 2.5}
        assert told[0]["data"]["video_url"] is None
        assert told[0]["data"]["status"] == "queued"

    def test_a_hook_of_a_request_is_told_of_its_job_alone(self, service, receiver):
        service.complete(Hook(f"{receiver.url}/mine", frozenset({"in_progress", "completed"})))
        service.complete()
        service.deliver()
        got = [receiver.next() for _ in range(2)]
        assert {json.loads(message.body)["type"] for message in got} == {
            "video.in_progress",
            "video.completed",
        }
        assert receiver.got.empty()
        endpoint = service.store.endpoint(DEFAULT, "default")
        for message in got:
            verify(endpoint.secret, message)

    def test_errors_are_told_and_prompts_are_not(self, service, receiver):
        service.register(f"{receiver.url}/ok")
        service.submit()
        job = service.jobs.claim("q", "w1")
        service.jobs.fail(job.lease, JobError("out_of_memory", "The GPU ran out of memory."))
        service.deliver()
        message = receiver.next()
        assert json.loads(message.body)["data"]["error"]["code"] == "out_of_memory"
        assert "secret cat" not in message.body

    def test_a_job_that_was_removed_meanwhile_is_told_of_all_the_same(self, service, receiver):
        job_id = service.complete(Hook(f"{receiver.url}/ok", frozenset({"completed"})))
        service.jobs.remove(job_id)
        service.deliver()
        assert json.loads(receiver.next().body)["data"] == {
            "id": job_id,
            "object": "video",
            "status": "completed",
            "error": None,
        }
        assert not list(service.redis.scan_iter("wan:hook:*"))

    def test_nobody_wants_to_hear_and_nothing_is_left_for_the_deliverers(self, service):
        service.complete()
        assert service.redis.llen("wan:outbox") == 0

    def test_other_tenants_hear_nothing(self, service, receiver):
        service.register(f"{receiver.url}/ok", tenant="other")
        service.complete()
        service.deliver()
        assert receiver.got.empty()

    def test_a_message_carries_the_request_and_the_trace_that_the_job_came_from(self, service, receiver):
        service.register(f"{receiver.url}/ok")
        service.complete()
        service.deliver()
        headers = receiver.next().headers
        assert headers["x-request-id"] == "req_1"
        assert headers["traceparent"].startswith("00-4bf92f")
        assert headers["content-type"] == "application/json"


class TestSignatures:
    def test_the_libraries_of_standard_webhooks_and_of_openai_verify_them(self, service, receiver):
        secret = service.register(f"{receiver.url}/ok").secret
        service.complete()
        service.deliver()
        message = receiver.next()
        told = verify(secret, message)
        client = OpenAI(api_key="-", webhook_secret=secret)
        event: Any = client.webhooks.unwrap(message.body, message.headers)
        assert (event.type, event.id, event.data.id) == ("video.completed", told["id"], told["data"]["id"])
        assert message.headers["webhook-id"] == told["id"]

    def test_after_a_rotation_both_secrets_verify_for_a_day(self, service, receiver):
        old = service.register(f"{receiver.url}/ok")
        new = service.store.rotate(old.id, "default")
        assert new.secret != old.secret
        service.complete()
        service.deliver()
        message = receiver.next()
        assert verify(old.secret, message) == verify(new.secret, message)
        endpoint = service.store.endpoint(old.id, "default")
        assert endpoint.signing(service.clock() + OVERLAP_SECONDS) == [new.secret]

    def test_the_default_secret_can_be_rotated_too(self, service):
        before = service.store.endpoint(DEFAULT, "default")
        after = service.store.rotate(DEFAULT, "default")
        assert after.signing(service.clock()) == [after.secret, before.secret]
        assert service.store.endpoint(DEFAULT, "default") == after
        assert service.store.endpoint(DEFAULT, "other").secret != after.secret

    def test_secrets_do_not_show_where_an_endpoint_is_printed(self, service):
        endpoint = service.store.rotate(service.register("https://a.example").id, "default")
        assert endpoint.secret not in repr(endpoint)
        assert (endpoint.previous_secret or "-") not in repr(endpoint)


class TestHostileReceivers:
    @pytest.mark.parametrize(
        ("path", "status", "error"),
        [
            ("/status/500", 500, None),
            ("/status/400", 400, None),
            ("/redirect", 302, None),
            ("/reset", None, "127.0.0.1 cannot be reached or broke off."),
            ("/hang", None, "127.0.0.1 took too long."),
        ],
    )
    def test_what_was_not_taken_is_tried_again_with_the_same_id(self, service, receiver, path, status, error):
        endpoint = service.register(receiver.url + path)
        service.complete()
        service.deliver()
        first = receiver.next()
        waiting = service.delivery(endpoint.id)
        attempt = service.last_attempt(waiting)
        assert (waiting.state, waiting.attempts, attempt.status, attempt.error) == (
            DeliveryState.PENDING,
            1,
            status,
            error,
        )
        assert waiting.next_attempt_at == pytest.approx(service.clock() + DELAYS[1], rel=0, abs=1)
        service.deliver()
        assert receiver.got.empty()  # not before its time
        service.clock.time += 6
        service.deliver()
        second = receiver.next()
        assert (second.headers["webhook-id"], second.body) == (first.headers["webhook-id"], first.body)
        assert second.headers["webhook-timestamp"] != first.headers["webhook-timestamp"]
        assert receiver.seen["/ok"] == 0  # where the redirect leads

    def test_a_receiver_that_recovers_gets_it(self, service, receiver):
        endpoint = service.register(f"{receiver.url}/once/503")
        service.complete()
        service.deliver()
        assert service.store.endpoint(endpoint.id, "default").failing_since == service.clock()
        service.clock.time += 6
        service.deliver()
        delivery = service.delivery(endpoint.id)
        assert (delivery.state, delivery.attempts) == (DeliveryState.DELIVERED, 2)
        assert delivery.finished_at == service.clock()
        assert [attempt.status for attempt in service.store.attempts(delivery.id)] == [503, 200]
        assert service.store.endpoint(endpoint.id, "default").failing_since is None

    def test_a_huge_answer_is_not_read(self, service, receiver):
        endpoint = service.register(f"{receiver.url}/huge")
        service.complete()
        service.deliver()
        delivery = service.delivery(endpoint.id)
        assert delivery.state is DeliveryState.DELIVERED
        assert service.last_attempt(delivery).snippet == "x" * 1024

    @pytest.mark.parametrize("dated", [True, False])
    def test_one_that_asks_to_be_left_alone_is(self, service, receiver, dated):
        date = format_datetime(datetime.fromtimestamp(service.clock() + 90, UTC), usegmt=True)
        endpoint = service.register(f"{receiver.url}/later?{quote(date if dated else '90')}")
        service.complete()
        service.deliver()
        assert service.delivery(endpoint.id).next_attempt_at == service.clock() + 90

    def test_one_that_is_gone_is_never_asked_again(self, service, receiver):
        endpoint = service.register(f"{receiver.url}/status/410", ["queued", "in_progress", "completed"])
        service.submit()
        service.deliver()
        gone = service.store.endpoint(endpoint.id, "default")
        assert (gone.disabled_at, gone.disabled_reason) == (service.clock(), "gone")
        assert service.delivery(endpoint.id).state is DeliveryState.FAILED
        service.jobs.claim("q", "w1")
        service.deliver()
        assert receiver.seen["/status/410"] == 1
        assert len(service.store.deliveries(endpoint.id, "default")) == 1
        enabled = service.store.enable(endpoint.id, "default")
        assert (enabled.disabled_at, enabled.disabled_reason, enabled.failing_since) == (None, None, None)

    def test_a_hook_that_is_gone_hears_no_more_of_its_job(self, service, receiver):
        events = frozenset({"queued", "in_progress"})
        service.submit(Hook(f"{receiver.url}/status/410", events))
        service.deliver()
        service.jobs.claim("q", "w1")
        service.deliver()
        assert receiver.seen["/status/410"] == 1

    def test_it_is_given_up_after_the_last_attempt(self, service, receiver):
        endpoint = service.register(f"{receiver.url}/status/500")
        service.complete()
        for _ in DELAYS:
            service.deliver()
            service.clock.time += 86400 * 1.2
            service.redis.hdel("wan:endpoint:we_0", "failing")  # or it would be disabled first
        delivery = service.delivery(endpoint.id)
        assert (delivery.state, delivery.attempts) == (DeliveryState.FAILED, len(DELAYS))
        assert delivery.next_attempt_at is None
        service.deliver()
        assert receiver.seen["/status/500"] == len(DELAYS)
        assert not service.redis.exists("wan:suspects")

    def test_an_endpoint_that_fails_for_days_is_disabled_with_a_notice(self, service, receiver, caplog):
        endpoint = service.register(f"{receiver.url}/status/500")
        service.complete()
        service.deliver()
        service.clock.time += PATIENCE_SECONDS
        service.deliver()
        disabled = service.store.endpoint(endpoint.id, "default")
        assert (disabled.disabled_at, disabled.disabled_reason) == (service.clock(), "failing")
        assert "Webhook we_0 is disabled: failing" in caplog.text
        service.clock.time += 86400
        service.deliver()
        assert service.delivery(endpoint.id).state is DeliveryState.FAILED
        assert receiver.seen["/status/500"] == 2

    @pytest.mark.parametrize(
        ("url", "address"),
        [
            ("https://inside.example/hook", "10.0.0.7"),
            ("https://metadata.example/latest", "169.254.169.254"),
            ("https://[::ffff:127.0.0.1]/", "::ffff:127.0.0.1"),
            ("https://carrier.example/", "100.64.0.1"),
        ],
    )
    def test_our_own_network_is_not_reached_by_any_name(self, service, url, address):
        endpoint = service.register(url)
        service.complete()
        service.deliver(lambda _host, _port: [address])
        waiting = service.delivery(endpoint.id)
        assert "is not on the public internet" in (service.last_attempt(waiting).error or "")

    def test_a_name_that_changes_its_mind_gains_nothing(self, service, receiver):
        endpoint = service.register(f"https://rebind.example:8443/{receiver.port}")
        service.complete()
        answers = iter([["93.184.216.34", "127.0.0.1"], ["127.0.0.1"]])
        service.deliver(lambda _host, _port: next(answers))
        waiting = service.delivery(endpoint.id)
        assert "is not on the public internet" in (service.last_attempt(waiting).error or "")
        assert receiver.got.empty()


class TestManyReceivers:
    def test_a_dead_receiver_delays_no_other(self, service, receiver):
        """Far more hang than one deliverer attempts at a time for one receiver."""
        service.register(f"{receiver.url}/ok")
        dead = service.store.register("we_dead", "default", f"{receiver.url}/hang", FINAL)
        with receiving() as other:
            service.store.register("we_other", "default", f"{other.url}/ok", FINAL)
            for _ in range(12):
                service.complete()
            with delivering(service):
                assert {other.next().path for _ in range(12)} == {"/ok"}
                assert {delivery.state for delivery in service.store.deliveries(dead.id, "default")} == {
                    DeliveryState.PENDING
                }
                receiver.released.set()

    def test_many_dead_receivers_delay_no_other(self, service, receiver):
        """As many hang from their first message on as could hold every attempt, had each its eight."""
        with ExitStack() as running:
            dead = [running.enter_context(receiving()) for _ in range(2 * AT_ONCE // 8)]
            for number in range(12):
                for which, one in enumerate(dead):
                    url = f"{one.url}/hang"
                    service.store.begin(message_to(url, 100 * which + number, tenant=f"tenant_{which % 3}"))
            service.clock.time += 1  # it comes last
            service.store.register("we_other", "tenant_0", f"{receiver.url}/ok", FINAL)
            for _ in range(12):
                service.jobs.cancel(service.submit(tenant="tenant_0"))
            for tenant in ("tenant_0", "tenant_1", "tenant_2"):
                service.store.endpoint(DEFAULT, tenant)
            with delivering(service):
                assert {receiver.next().path for _ in range(12)} == {"/ok"}
                assert not service.redis.exists("wan:suspects")  # while no attempt was given up
                for one in dead:
                    one.released.set()

    def test_a_receiver_gets_one_attempt_until_it_has_taken_a_message(self, service):
        for number in range(10):
            service.store.begin(message_to("https://a.example", number))
        (first,) = service.store.lease(Lane.FAST, 100, LEASE)
        assert service.store.lease(Lane.FAST, 100, LEASE) == []
        settle(service, first, Verdict.DELIVERED)
        rest = service.store.lease(Lane.FAST, 100, LEASE)
        assert len(rest) == 8
        for leased in rest:
            settle(service, leased, Verdict.DELIVERED)
        (last,) = service.store.lease(Lane.FAST, 100, LEASE)
        settle(service, last, Verdict.DELIVERED)
        assert not service.redis.exists("wan:proven")  # nothing waits for it any more

    def test_a_tenant_takes_no_more_than_its_share_however_many_receivers_it_has(self, service):
        for number in range(100):
            service.store.begin(message_to(f"https://{number}.example", number))
        service.store.endpoint(DEFAULT, "rival")
        service.store.begin(message_to("https://rival.example", 100, tenant="rival"))
        leased = service.store.lease(Lane.FAST, 96, LEASE)
        tenants = Counter(one.delivery.tenant for one in leased)
        assert tenants == {"default": 48, "rival": 1}
        assert service.store.lease(Lane.FAST, 96, LEASE) == []
        settle(service, leased[0], Verdict.RETRY)
        assert len(service.store.lease(Lane.FAST, 96, LEASE)) == 1
        service.clock.time += LEASE  # the others' deliverer died
        again = service.store.lease(Lane.FAST, 96, LEASE)
        assert Counter(one.delivery.tenant for one in again) == tenants

    def test_a_receiver_that_failed_gets_one_attempt_at_a_time(self, service):
        for number in range(6):
            service.store.begin(message_to("https://a.example", number))
        prove(service)
        (first, *rest) = service.store.lease(Lane.FAST, 100, LEASE)
        assert len(rest) == 4
        settle(service, first, Verdict.RETRY)
        assert service.store.lease(Lane.FAST, 100, LEASE) == []
        service.clock.time += 60
        assert len(service.store.lease(Lane.SLOW, 100, LEASE)) == 1
        assert service.store.lease(Lane.SLOW, 100, LEASE) == []

    def test_a_slow_receiver_is_in_the_slow_lane_until_it_is_fast_again(self, service):
        for number in range(4):
            service.store.begin(message_to("https://a.example", number))
        (leased,) = service.store.lease(Lane.FAST, 1, LEASE)
        settle(service, leased, Verdict.DELIVERED, seconds=14.0)
        assert service.store.lease(Lane.FAST, 100, LEASE) == []
        (leased,) = service.store.lease(Lane.SLOW, 100, LEASE)
        settle(service, leased, Verdict.DELIVERED)
        assert len(service.store.lease(Lane.FAST, 100, LEASE)) == 2

    def test_no_more_than_asked_for_are_leased(self, service):
        for number in range(25):
            service.store.begin(message_to(f"https://{number % 5}.example", number))
        for leased in service.store.lease(Lane.FAST, 5, LEASE):
            settle(service, leased, Verdict.DELIVERED)
        assert [len(service.store.lease(Lane.FAST, 7, LEASE)) for _ in range(4)] == [7, 7, 6, 0]


class TestCrashes:
    def test_what_a_dead_deliverer_had_in_hand_is_due_again_when_its_lease_ends(self, service):
        service.store.begin(message_to("https://a.example"))
        (lost,) = service.store.lease(Lane.FAST, 10, LEASE)
        assert service.store.lease(Lane.FAST, 10, LEASE) == []
        service.clock.time += LEASE
        (again,) = service.store.lease(Lane.FAST, 10, LEASE)
        assert (again.delivery.id, again.delivery.attempts) == (lost.delivery.id, 2)
        settle(service, lost, Verdict.FAILED)  # it was only slow, and changes nothing
        settle(service, again, Verdict.DELIVERED)
        found = service.store.delivery(lost.delivery.id, DEFAULT, "default")
        assert found.state is DeliveryState.DELIVERED
        assert [attempt.number for attempt in service.store.attempts(found.id)] == [2]

    def test_two_deliverers_make_one_delivery_of_a_transition(self, service, receiver):
        endpoint = service.register(f"{receiver.url}/ok")
        service.complete()
        *_, letter = service.store.letters()
        deliveries = [message_to(f"{receiver.url}/ok", 1), message_to(f"{receiver.url}/ok", 2)]
        assert service.store.accept(letter, deliveries)
        assert not service.store.accept(letter, deliveries)
        service.deliver()
        assert receiver.seen["/ok"] == 2
        assert service.store.deliveries(endpoint.id, "default") == []

    def test_a_store_that_is_away_is_waited_for(self, redis_url, receiver, caplog):
        with connect(redis_url) as redis, connect("redis://127.0.0.1:1") as nowhere:
            service, away = Service(redis, Clock()), WebhookStore(nowhere)
            service.register(f"{receiver.url}/ok")
            service.complete()
            working, service.store = service.store, away
            with pytest.raises(Exception, match="does not answer"):
                service.deliver()
            service.store = working
            service.deliver()
            assert receiver.next().path == "/ok"


class TestRecords:
    def test_an_attempt_is_settled_once_however_often_it_is_said(self, service):
        service.store.begin(message_to("https://a.example"))
        (leased,) = service.store.lease(Lane.FAST, 10, LEASE)
        for _ in range(2):
            settle(service, leased, Verdict.DELIVERED)
        assert len(service.store.attempts(leased.delivery.id)) == 1

    def test_the_log_of_a_delivery_has_its_last_attempts(self, service):
        delivery = service.store.begin(message_to("https://a.example"))
        for _ in range(25):
            (leased,) = service.store.lease(Lane.FAST, 10, LEASE)
            settle(service, leased, Verdict.DELIVERED)
            service.store.replay(delivery.id, "default")
        numbers = [attempt.number for attempt in service.store.attempts(delivery.id)]
        assert numbers == list(range(6, 26))

    def test_another_tenant_can_do_nothing_to_any_of_it(self, service):
        endpoint = service.register("https://a.example")
        delivery = service.store.begin(message_to("https://a.example"))
        for act in (
            lambda: service.store.rotate(endpoint.id, "other"),
            lambda: service.store.enable(endpoint.id, "other"),
            lambda: service.store.unregister(endpoint.id, "other"),
            lambda: service.store.replay(delivery.id, "other"),
            lambda: service.store.delivery(delivery.id, DEFAULT, "other"),
            lambda: service.store.deliveries(endpoint.id, "other"),
        ):
            with pytest.raises(WebhookNotFoundError):
                act()
        assert service.store.endpoint(endpoint.id, "default") == endpoint
        assert service.store.endpoints("other") == []

    def test_a_delivery_can_be_replayed_with_its_id(self, service, receiver):
        endpoint = service.register(f"{receiver.url}/ok")
        service.complete()
        service.deliver()
        first, delivered = receiver.next(), service.delivery(endpoint.id)
        replayed = service.store.replay(delivered.id, "default")
        assert (replayed.state, replayed.tries, replayed.attempts) == (DeliveryState.PENDING, 0, 1)
        service.deliver()
        second = receiver.next()
        assert second.headers["webhook-id"] == first.headers["webhook-id"]
        assert service.delivery(endpoint.id).attempts == 2

    def test_what_waits_for_a_deleted_endpoint_is_forgotten(self, service, receiver):
        endpoint = service.register(f"{receiver.url}/status/500")
        service.complete()
        service.deliver()
        service.store.unregister(endpoint.id, "default")
        service.clock.time += 10
        service.deliver()
        assert receiver.seen["/status/500"] == 1
        assert not keys(service.redis) & TRACES

    def test_finished_deliveries_are_forgotten_after_their_retention(self, service, receiver):
        endpoint = service.register(f"{receiver.url}/ok")
        service.complete()
        service.deliver()
        service.clock.time += RETENTION_SECONDS - 1
        service.store.sweep()
        assert service.delivery(endpoint.id)
        service.clock.time += 1
        service.store.sweep()
        assert service.store.deliveries(endpoint.id, "default") == []
        assert not keys(service.redis) & TRACES

    def test_deliveries_are_listed_newest_first_in_pages(self, service):
        sent = [service.store.begin(message_to("https://a.example", number)).id for number in range(5)]
        first = service.store.deliveries(DEFAULT, "default", limit=3)
        rest = service.store.deliveries(DEFAULT, "default", before=first[-1].id)
        assert [delivery.id for delivery in [*first, *rest]] == sent[::-1]
        assert service.store.deliveries(DEFAULT, "other") == []


def keys(redis: Redis) -> set[str]:
    """The kinds of keys there are."""
    return {key.decode().rsplit(":", 1)[0] for key in redis.scan_iter("wan:*:*")}


def message_to(url: str, number: int = 0, tenant: str = "default"):
    told = {"event_id": f"evt_{number}", "type": "video.completed", "body": envelope("evt", "a", 0, {})}
    return new_delivery(tenant, f"default.{tenant}", url, **told)


def prove(service: Service) -> None:
    """Let what is due first be taken, so that its receiver gets several attempts at a time."""
    (leased,) = service.store.lease(Lane.FAST, 1, LEASE)
    settle(service, leased, Verdict.DELIVERED)


def settle(service: Service, leased, verdict: Verdict, seconds: float = 0.1) -> None:
    number = leased.delivery.attempts
    attempt = Attempt(number=number, at=0, seconds=seconds, status=None, error=None, snippet="")
    service.store.settle(leased.delivery, verdict, attempt, 5)


@contextmanager
def delivering(service: Service) -> Iterator[None]:
    """A deliverer at work, as its process runs it."""
    stopped = threading.Event()
    courier = Courier(Outbound({"127.0.0.1"}), 15.0)
    deliverer = Deliverer(service.store, service.jobs, courier, attempt_seconds=15)
    thread = threading.Thread(target=deliverer.run, args=(stopped,))
    thread.start()
    try:
        yield
    finally:
        stopped.set()
        thread.join()
