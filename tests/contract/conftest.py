"""What the contract tests share."""

from pathlib import Path

import pytest

from tests.contract.artifact_helpers import CONTENT


@pytest.fixture
def video(tmp_path: Path) -> Path:
    """A local file with ``CONTENT``."""
    path = tmp_path / "video.mp4"
    path.write_bytes(CONTENT)
    return path
