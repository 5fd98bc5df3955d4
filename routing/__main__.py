"""Runs the router by itself, in front of several installations: ``python -m routing``."""

from __future__ import annotations

import sys

import uvicorn
from pydantic import ValidationError

from routing.front import create_front
from routing.settings import FrontSettings
from telemetry.logs import configure_logging


def main() -> None:
    """Serve until told to stop."""
    try:
        settings = FrontSettings()
    except ValidationError as error:
        names = ", ".join(sorted({str(fault["loc"][0]).upper() for fault in error.errors()}))
        sys.exit(f"The configuration cannot be used: see {names} in docs/routing.md.")
    configure_logging(settings, "router")
    uvicorn.run(
        create_front(settings),
        host=settings.host,
        port=settings.port,
        log_config=None,  # its lines go where ours go
        access_log=False,
        server_header=False,
    )


if __name__ == "__main__":
    main()
