"""Folders that settings name."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from api.settings import GatewaySettings
from scripts.doctor.finding import Finding, Verdict


def why_unwritable(folder: Path) -> str | None:
    """Why nothing can be written in a folder, or it cannot be made where it is yet to be; None if it can."""
    there = next(path for path in (folder, *folder.parents) if path.exists())
    try:  # permissions alone do not tell, of a disk that is only to be read for one
        TemporaryDirectory(dir=there).cleanup()
    except OSError as error:
        return error.strerror
    return None


def check_folders(settings: GatewaySettings) -> Iterator[Finding]:
    """The folders to read from are there, and the log can be written."""
    for variable, folder in {"INPUTS_DIR": settings.inputs_dir, "LORAS_DIR": settings.loras_dir}.items():
        if folder and not folder.is_dir():
            message = f"there is no folder {folder}: make it, or correct {variable}"
            yield Finding(Verdict.FAULT, "folders", message)
    if settings.log_dir and (why := why_unwritable(settings.log_dir)):
        message = f"no log can be written to {settings.log_dir} ({why}): set another LOG_DIR"
        yield Finding(Verdict.FAULT, "folders", message)
