"""Reading how long jobs may wait and run, which operators write for all tasks or for each."""

import pytest

from api.deadlines import seconds_by_task
from wan_models.catalog import CATALOG


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (None, {}),
        ("3600", dict.fromkeys(CATALOG, 3600)),
        ("t2v-A14B=90.5", {"t2v-A14B": 90.5}),
        ("t2v-A14B=90, s2v-14B = 7200", {"t2v-A14B": 90, "s2v-14B": 7200}),
    ],
)
def test_one_number_is_for_every_task_and_others_are_named(text, expected):
    assert seconds_by_task(text) == expected


@pytest.mark.parametrize("text", ["an hour", "0", "-5", "1e99", "nan", "t2v-A14B=", "t2v-A14B=1,", "=5"])
def test_what_is_no_time_is_refused(text):
    with pytest.raises(ValueError, match=r"seconds|task"):
        seconds_by_task(text)


def test_a_task_that_there_is_not_is_named_beside_those_that_there_are():
    with pytest.raises(ValueError, match="'t2v'; there are t2v-A14B, "):
        seconds_by_task("t2v=60")
