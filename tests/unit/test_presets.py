"""Presets: what each leaves of a model's official defaults."""

import pytest

from wan_models.bodies import Animation, SpeechToVideo, TextToVideo
from wan_models.catalog import CATALOG
from wan_models.presets import PRESETS, defaults_of
from wan_models.request import VideoRequest, resolve


def resolved(**fields: object) -> VideoRequest:
    body = TextToVideo.model_validate({"prompt": "a cat", "base_seed": 1, **fields})
    return resolve(body, CATALOG[body.task], tiny=False)


@pytest.mark.parametrize(
    ("task", "preset", "size", "frames", "steps"),
    [
        ("t2v-A14B", None, "1280*720", 81, 40),
        ("t2v-A14B", "quality", "1280*720", 81, 40),
        ("t2v-A14B", "balanced", "1280*720", 81, 30),
        ("t2v-A14B", "fast", "832*480", 81, 20),
        ("t2v-A14B", "draft", "832*480", 37, 10),
        ("ti2v-5B", "quality", "1280*704", 121, 50),
        ("ti2v-5B", "fast", "1280*704", 121, 25),
        ("ti2v-5B", "draft", "1280*704", 57, 12),
        ("animate-14B", "draft", "1280*720", 77, 5),
        ("s2v-14B", "draft", "832*480", 77, 10),
    ],
)
def test_a_preset_means_this(task, preset, size, frames, steps):
    defaults = defaults_of(CATALOG[task], preset, ())
    assert (str(defaults.size), defaults.frames, defaults.steps) == (size, frames, steps)


@pytest.mark.parametrize("task", CATALOG)
@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_makes_what_the_model_can_make(task, preset):
    spec = CATALOG[task]
    defaults = defaults_of(spec, preset, ())
    assert defaults.size in spec.sizes
    assert spec.frames.allows(defaults.frames)
    assert 1 <= defaults.steps <= spec.steps


def test_what_a_request_says_goes_before_its_preset():
    request = resolved(preset="draft", sample_steps=33, frame_num=81, size="1280*720")
    assert (request.sample_steps, request.frame_num, request.width) == (33, 81, 1280)


def test_a_preset_leaves_shift_guidance_and_seed_alone():
    plain, draft = resolved(), resolved(preset="draft")
    same = ("sample_shift", "sample_guide_scale", "base_seed", "negative_prompt", "fps", "boundary")
    assert [getattr(plain, name) for name in same] == [getattr(draft, name) for name in same]


def test_a_preset_does_not_shorten_speech_or_segments():
    speech = SpeechToVideo.model_validate(
        {"prompt": "p", "image_path": "asset://1", "audio_path": "asset://2", "preset": "draft"}
    )
    assert resolve(speech, CATALOG["s2v-14B"], tiny=False).frame_num == CATALOG["s2v-14B"].frames.maximum
    dance = Animation.model_validate({"src_root_path": "asset://1", "preset": "draft"})
    assert resolve(dance, CATALOG["animate-14B"], tiny=False).frame_num == 77
