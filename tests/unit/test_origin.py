"""What a request came from: ids and traces that are well-formed are kept, others are made."""

import re

import pytest
from starlette.datastructures import Headers

from api.origin import parse_traceparent, read_origin

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def test_what_the_sender_says_is_kept():
    origin = read_origin(Headers({"x-request-id": "checkout:42/a=b", "traceparent": TRACE}))
    assert (origin.request_id, origin.traceparent) == ("checkout:42/a=b", TRACE)


def test_a_request_without_an_id_is_named_after_its_trace():
    origin = read_origin(Headers({"traceparent": TRACE}))
    assert origin.request_id == "0af7651916cd43dd8448eb211c80319c"


def test_a_request_without_either_gets_both_and_is_not_sampled():
    one, other = read_origin(Headers()), read_origin(Headers())
    assert re.fullmatch(rf"00-{one.request_id}-[0-9a-f]{{16}}-00", one.traceparent)
    assert one.request_id != other.request_id


@pytest.mark.parametrize("name", ["", "a b", "x" * 65, "a\tb", "é", "<script>", 'a"b'])
def test_an_id_that_is_none_is_replaced(name):
    assert re.fullmatch("[0-9a-f]{32}", read_origin(Headers({"x-request-id": name})).request_id)


@pytest.mark.parametrize(
    "text",
    [
        TRACE[:-1],
        TRACE.upper(),
        f"{TRACE}-more",
        f"ff{TRACE[2:]}",
        "00-" + "0" * 32 + "-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-" + "0" * 16 + "-01",
        "",
    ],
)
def test_a_traceparent_that_is_none_is_ignored(text):
    assert parse_traceparent([text]) is None


def test_a_later_version_may_have_more_to_say():
    assert parse_traceparent([f"01{TRACE[2:]}-what-comes-next"]) == TRACE


def test_two_traceparents_are_none():
    assert parse_traceparent([TRACE, TRACE]) is None
    assert parse_traceparent([]) is None
