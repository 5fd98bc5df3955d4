"""Real models, as small as they come."""

import shutil
from pathlib import Path

import pytest

from wan_models.catalog import TINY_TASKS
from wan_models.options import MEASURABLE_TASKS
from wan_models.pipeline import Pipeline


@pytest.fixture(scope="session")
def models_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A models directory with every tiny model there is."""
    from wan_models.pipelines.tiny import build_tiny  # noqa: PLC0415 - the gateway's tests do without torch

    directory = tmp_path_factory.mktemp("models")
    for task in TINY_TASKS:
        build_tiny(task, directory)
    return directory


@pytest.fixture(scope="session")
def warm(models_dir: Path) -> dict[str, Pipeline]:
    """Every tiny model, loaded once."""
    from wan_models.registry import Registry  # noqa: PLC0415 - as above

    return {task: Registry(models_dir).load(task) for task in TINY_TASKS}


@pytest.fixture(scope="session")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small files that requests for the pipelines come with."""
    from tests.integration.ways import build_media  # noqa: PLC0415 - as above

    folder = tmp_path_factory.mktemp("media")
    build_media(folder)
    return folder


@pytest.fixture(scope="session")
def measured_dir(models_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same models; those that bear step caches were measured for MagCache."""
    from scripts.calibrate_step_cache import main  # noqa: PLC0415 - as above

    directory = tmp_path_factory.mktemp("measured")
    shutil.copytree(models_dir, directory, dirs_exist_ok=True)
    for task in MEASURABLE_TASKS:
        small = ["--size", "64*64", "--frames", "5", "--steps", "12"]
        assert main(["--models-dir", str(directory), "--model", task, *small]) == 0
    return directory
