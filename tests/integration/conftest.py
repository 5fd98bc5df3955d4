"""Real models, as small as they come."""

from pathlib import Path

import pytest

from wan_models.catalog import TINY_TASKS


@pytest.fixture(scope="session")
def models_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A models directory with every tiny model there is."""
    from wan_models.pipelines.tiny import build_tiny  # noqa: PLC0415 - the gateway's tests do without torch

    directory = tmp_path_factory.mktemp("models")
    for task in TINY_TASKS:
        build_tiny(task, directory)
    return directory
