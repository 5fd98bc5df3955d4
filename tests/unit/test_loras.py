"""The catalog of LoRA adapters, and what requests may do with it."""

from pathlib import Path

import pytest

from wan_models.bodies import TextToVideo
from wan_models.catalog import CATALOG, Guidance
from wan_models.errors import InvalidRequestError, LoraCatalogError
from wan_models.loras import CATALOG_FILE, LoraUse, loras_for, read_loras
from wan_models.request import VideoRequest, resolve

LIGHTNING = """
[lightning]
title = "Four steps"
strength = { default = 0.9, minimum = 0.5, maximum = 1.5 }
settings = { sample_steps = 4, sample_guide_scale = 1, sample_shift = 5 }
tasks."t2v-A14B" = { high = "l/high.safetensors", low = "l/low.safetensors" }

[grain]
tasks."ti2v-5B".file = "grain.safetensors"
tasks."t2v-A14B".file = "grain.safetensors"
"""


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    for file in ("l/high.safetensors", "l/low.safetensors", "grain.safetensors"):
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).touch()
    (tmp_path / CATALOG_FILE).write_text(LIGHTNING)
    return tmp_path


def resolved(directory: Path, **fields: object) -> VideoRequest:
    body = TextToVideo.model_validate({"prompt": "a cat", "base_seed": 1, **fields})
    return resolve(body, CATALOG[body.task], tiny=False, loras=read_loras(directory))


def test_a_catalog_names_the_file_of_each_expert(directory):
    loras = read_loras(directory)
    assert list(loras) == ["lightning", "grain"]
    assert loras["lightning"].files == {
        "t2v-A14B": {
            "transformer": directory / "l/high.safetensors",
            "transformer_2": directory / "l/low.safetensors",
        }
    }
    grain = directory / "grain.safetensors"
    assert loras["grain"].files == {
        "ti2v-5B": {"transformer": grain},
        "t2v-A14B": {"transformer": grain, "transformer_2": grain},
    }


def test_no_directory_and_no_catalog_have_no_adapters(tmp_path):
    assert read_loras(None) == read_loras(tmp_path) == read_loras(tmp_path / "absent") == {}


def test_an_adapter_serves_the_tasks_whose_files_are_all_there(directory):
    (directory / "l/low.safetensors").unlink()
    loras = read_loras(directory)
    assert list(loras_for("t2v-A14B", loras)) == ["grain"]
    assert list(loras_for("ti2v-5B", loras)) == ["grain"]
    assert list(loras_for("i2v-A14B", loras)) == []


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("no toml", "catalog of adapters"),
        ("[a]", "tasks"),
        ('[a]\ntasks."t2v-A14B".file = "../x"', "outside"),
        ('[a]\ntasks."t2v-A14B".file = "/etc/passwd"', "outside"),
        ('[a]\ntasks."t2v-A14B" = {}', "either file"),
        ('[a]\ntasks."t2v-A14B" = {file = "x", low = "y"}', "either file"),
        ('[a]\ntasks."ti2v-5B" = {high = "x", low = "y"}', "single file"),
        ('[a]\ntasks."s2v-14B".file = "x"', "takes no adapters"),
        ('[a]\ntasks."t3v".file = "x"', "takes no adapters"),
        ('["a b"]\ntasks."t2v-A14B".file = "x"', "a b"),
        ('[a]\nstrength = {default = 3}\ntasks."t2v-A14B".file = "x"', "between minimum and maximum"),
        ('[a]\nsettings = {sample_steps = 0}\ntasks."t2v-A14B".file = "x"', "sample_steps"),
        ('[a]\nweight = 1\ntasks."t2v-A14B".file = "x"', "weight"),
    ],
)
def test_a_wrong_catalog_says_what_is_wrong(tmp_path, text, fault):
    (tmp_path / CATALOG_FILE).write_text(text)
    with pytest.raises(LoraCatalogError, match=fault):
        read_loras(tmp_path)


def test_an_adapter_brings_its_strength_and_its_settings(directory):
    request = resolved(directory, loras=[{"name": "lightning"}])
    assert request.loras == (LoraUse(name="lightning", strength=0.9),)
    assert (request.sample_steps, request.sample_shift) == (4, 5.0)
    assert request.sample_guide_scale == Guidance(low=1.0, high=1.0)


def test_what_a_request_says_goes_before_what_an_adapter_needs(directory):
    request = resolved(directory, loras=[{"name": "lightning", "strength": 1.5}], sample_steps=8)
    assert request.loras == (LoraUse(name="lightning", strength=1.5),)
    assert (request.sample_steps, request.sample_shift) == (8, 5.0)


def test_several_adapters_work_together_in_the_given_order(directory):
    request = resolved(directory, loras=[{"name": "grain"}, {"name": "lightning"}])
    assert [use.name for use in request.loras] == ["grain", "lightning"]
    assert request.sample_steps == 4


def test_the_lightning_preset_is_the_adapter_of_its_name(directory):
    by_name = resolved(directory, loras=[{"name": "lightning"}])
    assert resolved(directory, preset="lightning") == by_name
    both = resolved(directory, preset="lightning", loras=[{"name": "lightning", "strength": 0.5}])
    assert both.loras == (LoraUse(name="lightning", strength=0.5),)


@pytest.mark.parametrize(
    ("fields", "field", "fault"),
    [
        ({"loras": [{"name": "sepia"}]}, "loras", "no adapter 'sepia' for this task, but: lightning, grain"),
        ({"loras": [{"name": "lightning"}], "task": "ti2v-5B"}, "loras", "but: grain"),
        ({"loras": [{"name": "grain"}, {"name": "grain"}]}, "loras", "twice"),
        ({"loras": [{"name": "lightning", "strength": 0.4}]}, "loras", "from 0.5 to 1.5"),
        ({"loras": [{"name": "lightning", "strength": 1.6}]}, "loras", "from 0.5 to 1.5"),
        ({"preset": "lightning", "task": "ti2v-5B"}, "preset", "not installed"),
    ],
)
def test_what_cannot_be_used_is_refused_at_once(directory, fields, field, fault):
    with pytest.raises(InvalidRequestError, match=fault) as caught:
        resolved(directory, **fields)
    assert caught.value.field == field
