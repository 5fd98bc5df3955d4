"""Tiny models: built the same everywhere, whole or not at all."""

from pathlib import Path

import pytest
import torch

from wan_models.catalog import TINY_TASKS
from wan_models.models_dir import installed_models, model_path
from wan_models.pipelines import tiny, tiny_parts
from wan_models.pipelines.tiny import build_tiny


def contents(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_a_built_model_is_installed_and_known_as_tiny(models_dir):
    installed = installed_models(models_dir)
    assert set(installed) == set(TINY_TASKS)
    assert all(model.tiny for model in installed.values())


@pytest.mark.parametrize("task", TINY_TASKS)
def test_a_model_is_built_the_same_whatever_the_random_state_which_it_leaves_alone(
    models_dir, tmp_path, task
):
    torch.rand(3)
    before = torch.random.get_rng_state()
    assert contents(build_tiny(task, tmp_path)) == contents(model_path(models_dir, task))
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.parametrize("task", TINY_TASKS)
def test_a_model_takes_less_than_a_megabyte(models_dir, task):
    assert sum(map(len, contents(model_path(models_dir, task)).values())) < 1_000_000


def test_a_model_that_is_there_is_left_alone(tmp_path, monkeypatch):
    folder = build_tiny("ti2v-5B", tmp_path)
    built = contents(folder)
    monkeypatch.delattr(tiny, "_pipeline")
    assert build_tiny("ti2v-5B", tmp_path) == folder
    assert contents(folder) == built


def test_the_slower_of_two_builders_keeps_what_the_faster_one_built(tmp_path, monkeypatch):
    build_tiny("ti2v-5B", tmp_path)
    marker = model_path(tmp_path, "ti2v-5B") / "faster"
    marker.touch()
    answers = iter(
        [None, installed_models(tmp_path)["ti2v-5B"]]
    )  # not there yet at the start, there at the end
    monkeypatch.setattr(tiny, "installed_model", lambda *_: next(answers))
    build_tiny("ti2v-5B", tmp_path)
    assert marker.exists()
    assert [folder.name for folder in (tmp_path / "wan").iterdir()] == ["ti2v-5B"]


def test_a_half_copied_model_is_not_overwritten(tmp_path):
    half = model_path(tmp_path, "ti2v-5B") / "transformer" / "config.json"
    half.parent.mkdir(parents=True)
    half.touch()
    with pytest.raises(OSError, match="ti2v-5B"):
        build_tiny("ti2v-5B", tmp_path)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [half]


def test_a_build_that_breaks_leaves_nothing_behind(tmp_path, monkeypatch):
    monkeypatch.setattr(tiny_parts, "text_parts", lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        build_tiny("ti2v-5B", tmp_path)
    assert list((tmp_path / "wan").iterdir()) == []
