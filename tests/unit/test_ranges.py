"""Byte ranges as RFC 9110 has them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.ranges import ByteRange, UnsatisfiableRangeError, parse_range

SIZE = 1000


@pytest.mark.parametrize(
    ("header", "first", "last"),
    [
        ("bytes=0-0", 0, 0),
        ("bytes=0-499", 0, 499),
        ("bytes=500-", 500, 999),
        ("bytes=-500", 500, 999),
        ("bytes=-5000", 0, 999),
        ("bytes=999-", 999, 999),
        ("bytes=0-99999", 0, 999),
        (f"bytes=0-{'9' * 5000}", 0, 999),
        (f"bytes=-{'9' * 5000}", 0, 999),
        ("bytes= 0-9", 0, 9),
        ("BYTES=0-9", 0, 9),
        ("bytes=0009-0010", 9, 10),
    ],
)
def test_one_range_is_taken(header, first, last):
    assert parse_range(header, SIZE) == ByteRange(first, last, SIZE)


@pytest.mark.parametrize("header", [None, "", "bytes", "bytes=0-1,5-6", "items=0-9"])
def test_no_range_and_one_of_another_unit_and_several_mean_the_whole_file(header):
    assert parse_range(header, SIZE) is None


@pytest.mark.parametrize(
    "header",
    [
        "bytes=",
        "bytes=-",
        "bytes=9-5",
        "bytes=a-b",
        "bytes=--5",
        "bytes=+1-5",
        "bytes=0 - 9",
        "bytes=0-9; q=1",
        "bytes=٣-٤",  # digits to Python, not to the RFC
        "bytes=" + "9" * 5000 + "-",
    ],
)
def test_a_malformed_range_is_refused(header):
    with pytest.raises(UnsatisfiableRangeError):
        parse_range(header, SIZE)


@pytest.mark.parametrize("header", ["bytes=1000-", "bytes=1000-1001", "bytes=99999-", "bytes=-0"])
def test_a_range_that_holds_no_byte_of_the_file_is_refused(header):
    with pytest.raises(UnsatisfiableRangeError) as refused:
        parse_range(header, SIZE)
    assert refused.value.size == SIZE


@pytest.mark.parametrize("header", ["bytes=0-", "bytes=0-0", "bytes=-1"])
def test_an_empty_file_satisfies_no_range(header):
    with pytest.raises(UnsatisfiableRangeError):
        parse_range(header, 0)


def test_a_range_tells_its_length_and_its_header():
    part = ByteRange(500, 999, 1000)
    assert (part.length, part.content_range) == (500, "bytes 500-999/1000")


@given(header=st.text() | st.from_regex(r"bytes=[0-9]{0,4}-[0-9]{0,4}"), size=st.integers(0, 2000))
def test_whatever_the_header_the_range_lies_within_the_file(header, size):
    try:
        part = parse_range(header, size)
    except UnsatisfiableRangeError:
        return
    assert part is None or 0 <= part.first <= part.last < size


@given(first=st.integers(0, 2000), length=st.integers(1, 2000), size=st.integers(1, 2000))
def test_a_range_is_what_slicing_gives(first, length, size):
    content = bytes(index % 251 for index in range(size))
    wanted = content[first : first + length]
    try:
        part = parse_range(f"bytes={first}-{first + length - 1}", size)
    except UnsatisfiableRangeError:
        assert wanted == b""
    else:
        assert part is not None
        assert content[part.first : part.last + 1] == wanted
        assert part.length == len(wanted)
