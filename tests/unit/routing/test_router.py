"""The whole way from a query to a route, without a server."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.openapi import BODIES
from routing.classifier import load_classifier
from routing.intents import Service
from routing.query import RouteQuery
from routing.route import Route
from routing.router import Router
from routing.selection import ModelLoad
from scripts.router.examples import HELD_OUT, read_examples
from wan_models.catalog import CATALOG
from wan_models.request import resolve

ROUTER = Router(load_classifier())
READY = dict.fromkeys(CATALOG, ModelLoad(installed=True, workers=1))
BODY_OF = {f"/generate/{body.kind}": body for body in BODIES}
KINDS = ("image", "audio", "video", "pose")
PIECES = (
    "Make a video of a fox",
    "animate this photo",
    'make her say "good morning"',
    "让她说“大家好”",
    "replace the man with",
    "10s",
    "for half a minute",
    "五秒",
    "99999 frames",
    "0 seconds",
    "vertical",
    "4K",
    "1x1",
    "640x99999",
    "1:1",
    "seed 7",
    "seed 99999999999999999",
    "1000 fps",
    "24 fps",
    "no people",
    "without any text, without any cars",
    "für TikTok",
    "ti2v",
    "haz un vídeo de un gato",
    "動画を作って",
    "영상 만들어줘",
    "वीडियो बनाओ",
    "сделай видео",
    "'",
    '"',
    "“",
    ":",
    "？",
    "a\x00",
    "a" * 3000,
)
LOADS = st.dictionaries(
    st.sampled_from(sorted(CATALOG)),
    st.builds(ModelLoad, installed=st.booleans(), workers=st.integers(0, 1), eta_seconds=st.floats(0, 9000)),
)
CONTEXTS = st.fixed_dictionaries(
    {},
    optional={
        "max_duration": st.floats(0.01, 60),
        "prefer_speed": st.booleans(),
        "prefer_quality": st.booleans(),
        "language": st.sampled_from(["en", "zh-CN", "xx"]),
        "fps": st.integers(1, 60),
    },
)


def route(query, kinds=(), load=READY, **context) -> Route:
    attachments = [{"kind": kind, "url": f"https://files.example.com/{kind}"} for kind in kinds]
    asked = RouteQuery.model_validate({"query": query, "attachments": attachments, "context": context})
    return ROUTER.route(asked, ROUTER.classify(asked), load, {})


def assert_postable(found: Route) -> None:
    """Hold the parameters of a route to the validation of the endpoint that it names."""
    body = BODY_OF[found.endpoint or ""]
    given_inputs = dict.fromkeys(found.missing, "https://files.example.com/x")
    whole = body.model_validate(found.parameters | given_inputs)
    request = resolve(whole, CATALOG[found.parameters["task"]], tiny=False)
    assert CATALOG[request.task].frames.allows(request.frame_num)


@pytest.mark.parametrize("split", HELD_OUT)
def test_every_route_to_a_video_can_be_posted_as_it_is(split):
    for example in read_examples(split):
        found = route(example.query, example.attachments)
        if found.service is Service.WAN:
            assert_postable(found)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.sampled_from(PIECES), min_size=1, max_size=4).map(" ".join),
    st.lists(st.sampled_from(KINDS), max_size=4),
    LOADS,
    CONTEXTS,
)
def test_whatever_is_asked_there_is_a_route_that_says_how_sure_it_is(query, kinds, load, context):
    found = route(query[:8000], kinds, load, **context)
    assert 0 <= found.confidence <= 1
    assert found.confidence > 0.5 or found.alternatives
    if found.service is Service.WAN:
        assert_postable(found)
        most, frames = context.get("max_duration"), found.parameters.get("frame_num")
        shortest = CATALOG[found.parameters["task"]].frames.minimum
        if most is not None and frames is not None:
            fps = found.parameters.get("fps") or CATALOG[found.parameters["task"]].fps
            assert frames <= max(most * fps, shortest)


@pytest.mark.parametrize(
    ("query", "kinds"),
    [
        ("transcribe this audio", ["image"]),
        ("animate this photo", ["audio"]),
        ("make this portrait sing my recording", ["video"]),
    ],
)
def test_attachments_that_contradict_the_words_leave_it_unsure_and_offer_others(query, kinds):
    found = route(query, kinds)
    assert found.confidence <= 0.5
    assert found.alternatives


@pytest.mark.parametrize(
    ("query", "kinds", "task"),
    [
        ("make a video of a cat", [], "t2v-A14B"),
        ("write a script for a video about cats", [], None),
        ("what codec for web video", [], None),
        ("not a script, just the video: a lighthouse", [], "t2v-A14B"),
        ("don't make a video, explain how one would film a lighthouse", [], None),
        ("make this portrait say hello", ["image"], "s2v-14B"),
        ("animate this photo", ["image"], "i2v-A14B"),
        ("make her dance like in this clip", ["image", "video"], "animate-14B"),
        ("머리카락이 흔들리게 해줘", ["image"], "i2v-A14B"),
    ],
)
def test_neighbouring_wishes_are_told_apart(query, kinds, task):
    assert route(query, kinds).task == task


def test_a_reason_is_in_plain_words():
    found = route("make her hair sway in the wind", ["image"])
    assert "gentle movement" in found.reason
    assert "stir" not in found.reason
