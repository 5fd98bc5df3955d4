"""Build the tiny models, without a download: ``python -m scripts.build_tiny_models DIR``."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

from wan_models.catalog import TINY_TASKS
from wan_models.models_dir import installed_model


def build_missing(models_dir: Path) -> None:
    """Build each tiny model that is not there. torch is only imported when there is something to build."""
    missing = [task for task in TINY_TASKS if installed_model(models_dir, task) is None]
    if not missing:
        return
    from wan_models.pipelines.tiny import build_tiny  # noqa: PLC0415 - see above

    for task in missing:
        print(f"Built a tiny {task} in {build_tiny(task, models_dir)}", flush=True)


if __name__ == "__main__":
    signal.signal(
        signal.SIGTERM, lambda *_: sys.exit("Not all tiny models were built.")
    )  # half a model is removed
    build_missing(Path(sys.argv[1]))
