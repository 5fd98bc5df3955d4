"""The Prefer header, which is a list."""

import pytest

from api.prefer import LONGEST_WAIT_SECONDS, wait_seconds


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        (["wait=10"], 10),
        (["WAIT = 10"], 10),
        (['wait="10"'], 10),
        (["wait=0"], 0),
        (["wait"], LONGEST_WAIT_SECONDS),
        (["wait=3600"], LONGEST_WAIT_SECONDS),
        (["respond-async, wait=10"], 10),
        (["respond-async", "return=minimal", "wait=10"], 10),
        (["wait=10; foo=bar, handling=lenient"], 10),
        (["wait=10, wait=20"], 10),
    ],
)
def test_a_wait_is_found_among_other_preferences(headers, seconds):
    assert wait_seconds(headers) == seconds


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [""],
        ["respond-async"],
        ["waiting=10"],
        ["wait=soon"],
        ["wait=-1"],
        ["wait=1.5"],
        ["wait=٣"],
        ["foo=wait"],
    ],
)
def test_without_a_wait_that_makes_sense_the_client_is_answered_at_once(headers):
    assert wait_seconds(headers) is None


def test_a_wait_beyond_all_measure_is_cut_to_the_longest():
    assert wait_seconds(["wait=" + "9" * 5000]) == LONGEST_WAIT_SECONDS
