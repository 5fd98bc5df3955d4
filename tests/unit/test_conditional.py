"""Conditional requests as RFC 9110 has them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import Headers

from api.conditional import Version, is_known, may_send_range
from api.refusals import PreconditionFailedError

MADE_AT = 1_763_000_000
VERSION = Version("abc", MADE_AT)
THEN, BEFORE, AFTER = (
    Version("", MADE_AT + offset).last_modified for offset in (0, -1, 1)
)  # dates, in the header's own format


def with_headers(*pairs: tuple[str, str]) -> Headers:
    return Headers(raw=[(name.encode(), value.encode("latin-1")) for name, value in pairs])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("if-none-match", '"abc"'),
        ("if-none-match", 'W/"abc"'),
        ("if-none-match", '"x", "abc"'),
        ("if-none-match", "*"),
        ("if-modified-since", THEN),
        ("if-modified-since", AFTER),
    ],
)
def test_a_client_that_has_this_version_need_not_get_it_again(name, value):
    assert is_known(with_headers((name, value)), VERSION)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("if-none-match", '"other"'),
        ("if-none-match", "abc"),
        ("if-modified-since", BEFORE),
        ("if-modified-since", "yesterday"),
        ("if-modified-since", "Mon, 99 Jan 2026 00:00:00 GMT"),
        ("if-match", '"abc"'),
        ("if-match", "*"),
        ("if-unmodified-since", THEN),
        ("if-unmodified-since", "yesterday"),
        ("range", "bytes=0-1"),
    ],
)
def test_any_other_client_gets_it(name, value):
    assert not is_known(with_headers((name, value)), VERSION)


@pytest.mark.parametrize(
    ("name", "value"),
    [("if-match", '"other"'), ("if-match", 'W/"abc"'), ("if-unmodified-since", BEFORE)],
)
def test_a_request_for_another_version_is_refused(name, value):
    with pytest.raises(PreconditionFailedError):
        is_known(with_headers((name, value)), VERSION)


def test_an_entity_tag_counts_for_more_than_a_date():
    assert not is_known(with_headers(("if-none-match", '"x"'), ("if-modified-since", AFTER)), VERSION)
    assert not is_known(with_headers(("if-match", '"abc"'), ("if-unmodified-since", BEFORE)), VERSION)


def test_tags_may_come_in_several_headers():
    assert is_known(with_headers(("if-none-match", '"x"'), ("if-none-match", '"abc"')), VERSION)


@pytest.mark.parametrize(
    ("if_range", "counts"),
    [
        ('"abc"', True),
        (THEN, True),
        ('W/"abc"', False),
        ('"other"', False),
        (BEFORE, False),
        (AFTER, False),
        ("x", False),
    ],
)
def test_a_range_counts_only_for_the_version_it_was_meant_for(if_range, counts):
    assert may_send_range(with_headers(("if-range", if_range)), VERSION) is counts


def test_a_range_without_a_condition_counts():
    assert may_send_range(with_headers(), VERSION)


@given(
    name=st.sampled_from(
        ["if-match", "if-none-match", "if-range", "if-modified-since", "if-unmodified-since"]
    ),
    value=st.text(st.characters(max_codepoint=255)),
)
def test_no_header_is_too_odd(name, value):
    headers = with_headers((name, value))
    may_send_range(headers, VERSION)
    try:
        is_known(headers, VERSION)
    except PreconditionFailedError:
        assert name == "if-match"
