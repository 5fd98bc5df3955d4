"""Repeating a request, under its idempotency key, that a store which was away has failed."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import pytest
from redis import Redis

from api.reservations import Reservations
from jobs.embedded import EmbeddedRedis
from jobs.errors import StoreUnavailableError
from jobs.policy import Policy
from jobs.state import JobFilter
from jobs.store_redis import RedisJobStore
from tests.integration.api.conftest import BODY, Gateway, parts_with, serving

URL = "/generate/text-to-video"


def post(gateway: Gateway, **changes: Any) -> Any:
    return gateway.client.post(URL, json=BODY | changes, headers={"idempotency-key": "a"})


@pytest.fixture
def other(gateway) -> Iterator[Gateway]:
    """Another gateway of the same service."""
    with serving(replace(gateway.parts, reservations=Reservations()), gateway.videos) as other:
        yield other


def failing(call: Callable[..., Any], times: int, *, done: bool = False) -> Callable[..., Any]:
    """The call, whose answer gets lost so many times; it may have been done all the same."""
    left = [times]

    def attempt(*arguments: Any) -> Any:
        if not left[0]:
            return call(*arguments)
        left[0] -= 1
        if done:
            call(*arguments)
        raise StoreUnavailableError("No answer.")

    return attempt


@pytest.mark.parametrize("which", ["gateway", "other"])
@pytest.mark.parametrize("verb", ["reserve", "submit_all"])
@pytest.mark.parametrize("done", [False, True])
def test_makes_one_job_at_any_gateway(gateway, other, monkeypatch, *, which, verb, done):
    monkeypatch.setattr(gateway.store, verb, failing(getattr(gateway.store, verb), 1, done=done))
    monkeypatch.setattr(gateway.store, "unreserve", failing(gateway.store.unreserve, 1))
    assert post(gateway).status_code == 503
    answers = [post(gateway if which == "gateway" else other) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [202, 202]
    assert gateway.store.count(JobFilter()) == 1


def test_is_no_longer_refused_once_the_first_try_was_refused(gateway, monkeypatch):
    monkeypatch.setattr(gateway.store, "unreserve", failing(gateway.store.unreserve, 1))
    assert post(gateway, frame_num=16).status_code == 422
    assert post(gateway).status_code == 202


def test_makes_one_job_after_a_server_was_stopped_and_went_on_with_what_it_had_received(tmp_path):
    with ExitStack() as stack:
        server = stack.enter_context(EmbeddedRedis(tmp_path / "redis"))
        client = stack.enter_context(Redis.from_url(server.url, socket_timeout=0.2))
        store = RedisJobStore(client, Policy())
        parts = parts_with(store, tmp_path)
        gateways = [
            stack.enter_context(serving(replace(parts, reservations=Reservations()), tmp_path))
            for _ in range(2)
        ]
        assert gateways[0].submit(prompt="A dog")
        pid = int((tmp_path / "redis" / "server.pid").read_text())
        os.kill(pid, signal.SIGSTOP)
        try:
            assert post(gateways[0]).status_code == 503
        finally:
            os.kill(pid, signal.SIGCONT)
        answers = [post(gateway) for gateway in reversed(gateways)]
        assert [answer.status_code for answer in answers] == [202, 202]
        assert len({answer.json()["id"] for answer in answers}) == 1
