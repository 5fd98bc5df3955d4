"""One way to log for every process: a line with the time, the level, and who says what."""

from __future__ import annotations

import logging
import sys


def configure_logging(level: str) -> None:
    """Send records of ``level`` and above to standard error."""
    logging.basicConfig(
        level=level,
        stream=sys.stderr,
        format="%(asctime)s %(levelname)-7s %(name)s: %(message)s",
        force=True,
    )
