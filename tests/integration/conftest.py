"""Real models, as small as they come."""

from pathlib import Path

import pytest

from wan_models.catalog import TINY_TASKS
from wan_models.pipelines.tiny import build_tiny


@pytest.fixture(scope="session")
def models_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A models directory with every tiny model there is."""
    directory = tmp_path_factory.mktemp("models")
    for task in TINY_TASKS:
        build_tiny(task, directory)
    return directory
