"""Webhooks as values: signatures, and when to try again."""

from __future__ import annotations

import base64
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks.webhooks import Webhook

from jobs.webhooks import (
    DELAYS,
    Attempt,
    Delivery,
    DeliveryState,
    Endpoint,
    Leased,
    Verdict,
    new_secret,
    retry_delay,
    signature,
    signed_headers,
)
from workers.courier import Result, _retry_after
from workers.deliverer import judge

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
ENDPOINT = Endpoint(
    id="whe_1", tenant="t", url="https://a.example", events=frozenset(), secret=SECRET, created_at=0
)
DELIVERY = Delivery(
    id="whd_1",
    tenant="t",
    endpoint_id="whe_1",
    url="https://a.example",
    receiver="t|a.example",
    event_id="evt_1",
    type="video.completed",
    body="{}",
    state=DeliveryState.PENDING,
    attempts=1,
    tries=1,
    created_at=0,
)


def result(status: int | None, retry_after: float | None = None) -> Result:
    return Result(Attempt(number=1, at=0, seconds=0, status=status, error=None, snippet=""), retry_after)


def test_the_signature_is_the_one_of_the_specification():
    message = ("msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, '{"test": 2432232314}')
    assert signature(SECRET, *message) == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@given(body=st.text(), event_id=st.from_regex(r"evt_[a-z0-9_]+", fullmatch=True))
def test_the_library_agrees_on_every_message(body, event_id):
    secret, body = new_secret(), body.encode(errors="replace").decode()
    ours = signed_headers([secret], event_id, 1_700_000_000, body)["webhook-signature"]
    theirs = Webhook(secret).sign(event_id, datetime.fromtimestamp(1_700_000_000, UTC), body)
    assert ours == theirs


def test_secrets_are_new_each_time_and_of_standard_base64():
    secrets = {new_secret() for _ in range(100)}
    assert len(secrets) == 100
    for secret in secrets:
        key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
        assert len(key) == 32


def test_a_secret_that_is_none_is_refused():
    with pytest.raises(ValueError, match="whsec_"):
        signature("whsec_***", "evt", 0, "")


@pytest.mark.parametrize(("now", "count"), [(0, 2), (99.9, 2), (100, 1)])
def test_the_previous_secret_signs_until_its_time_is_over(now, count):
    rotated = replace(ENDPOINT, previous_secret="whsec_b2xk", previous_until=100)
    signing = rotated.signing(now)
    assert (signing[0], len(signing)) == (SECRET, count)
    signed = signed_headers(signing, "evt_1", 0, "{}")["webhook-signature"].split(" ")
    assert len(signed) == count


@given(luck=st.floats(0, 1), asked=st.none() | st.floats(0, 1e9))
def test_delays_grow_as_planned_a_tenth_more_or_less_and_never_come_before_what_was_asked(luck, asked):
    delays = [retry_delay(tries, asked, luck) for tries in range(1, len(DELAYS))]
    for planned, delay in zip(DELAYS[1:], delays, strict=True):
        assert delay is not None
        assert delay >= planned * 0.9
        assert delay >= min(asked or 0, 86400)
        assert delay <= max(planned * 1.1, min(asked or 0, 86400 * 1.1)) + 1e-6
    assert retry_delay(len(DELAYS), asked, luck) is None


@pytest.mark.parametrize(
    ("status", "verdict"),
    [
        (200, Verdict.DELIVERED),
        (204, Verdict.DELIVERED),
        (299, Verdict.DELIVERED),
        (301, Verdict.RETRY),
        (400, Verdict.RETRY),
        (404, Verdict.RETRY),
        (410, Verdict.GONE),
        (500, Verdict.RETRY),
        (None, Verdict.RETRY),
    ],
)
def test_only_success_counts_and_only_gone_is_final(status, verdict):
    assert judge(Leased(DELIVERY, ENDPOINT), result(status))[0] is verdict


def test_the_last_attempt_and_one_that_is_made_once_are_not_repeated():
    for delivery in (replace(DELIVERY, tries=len(DELAYS)), replace(DELIVERY, persistent=False)):
        assert judge(Leased(delivery, ENDPOINT), result(500)) == (Verdict.FAILED, 0)
    assert judge(Leased(DELIVERY, ENDPOINT), result(429, 1000.0), luck=0.5) == (Verdict.RETRY, 1000)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        (None, None),
        ("120", 120),
        ("9" * 40, 999_999_999),
        ("-5", None),
        ("1.5", None),
        ("soon", None),
        ("²", None),
        ("Thu, 01 Jan 1970 00:01:40 GMT", 90),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
    ],
)
def test_retry_after_is_seconds_or_a_date(text, seconds):
    assert _retry_after(text, now=10) == seconds
