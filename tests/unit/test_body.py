"""JSON that every reader understands in the same way, and no other."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.body import parse_json
from api.refusals import MalformedJsonError

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner),
)


@given(JSON)
def test_json_is_read_as_it_was_written(value):
    assert parse_json(json.dumps(value, ensure_ascii=False).encode()) == value
    assert parse_json(json.dumps(value).encode()) == value


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"{'prompt': 1}",
        b'{"a": 1} x',
        b'{"a": 1,}',
        b"\xff\xfe",
        b'{"a": "\xff"}',
        b'\xef\xbb\xbf{"a": 1}',
        '{"a": 1}'.encode("utf-16"),
        b'{"a": "\\ud800"}',
        b'{"\\udfff": 1}',
        b'{"a": NaN}',
        b'{"a": -Infinity}',
        b'{"a": 01}',
        b'{"a": ' + b"9" * 5000 + b"}",
        b"[" * 100_000,
        b'{"a": 1, "a": 1}',
        b'{"outer": [{"a": 1, "b": 2, "a": 3}]}',
        b'{"a": 1, "\\u0061": 2}',
    ],
)
def test_what_readers_could_disagree_about_is_refused(body):
    with pytest.raises(MalformedJsonError):
        parse_json(body)


@given(st.binary())
def test_no_bytes_are_too_odd(body):
    try:
        value = parse_json(body)
    except MalformedJsonError:
        return
    assert value == json.loads(body)
