"""The order of a queue, against a plain sort of everything that waits."""

from hypothesis import given
from hypothesis import strategies as st

from jobs.line import Line, Place

PLACES = st.builds(
    Place,
    rank=st.integers(0, 2),
    since=st.integers(0, 5).map(float),
    job_id=st.integers(0, 9).map(str),
    tenant=st.sampled_from("abc"),
)
MOVES = st.lists(
    st.tuples(st.sampled_from(["join", "leave", "first"]), PLACES, st.sets(st.sampled_from("abc")))
)


@given(MOVES)
def test_the_first_in_line_is_the_least_of_those_who_may_run(moves):
    line, waiting = Line(), set[Place]()
    for move, place, capped in moves:
        if move == "join" and place not in waiting:
            line.join(place)
            waiting.add(place)
        elif move == "leave" and place in waiting:
            line.leave(place)
            waiting.remove(place)
        expected = min((place for place in waiting if place.tenant not in capped), default=None)
        assert line.first(lambda tenant: tenant not in capped) == expected  # noqa: B023 - called at once
