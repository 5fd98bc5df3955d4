"""Stop the service that ``make demo`` left running: ``python -m scripts.stop``."""

from __future__ import annotations

import json
import os
import signal
import sys
import time

from jobs.settings import JobsSettings, load_settings
from scripts.serve import note_path

_PATIENCE_SECONDS = 90.0


def main() -> None:
    """Send SIGTERM and wait for the end."""
    note = note_path(load_settings(JobsSettings).data_dir)
    if not note.exists():
        print("Nothing to stop.")
        return
    running = json.loads(note.read_text())
    try:
        os.kill(running["pid"], signal.SIGTERM)
    except ProcessLookupError:
        note.unlink(missing_ok=True)
        print("Nothing to stop: the service had ended by itself.")
        return
    give_up_at = time.monotonic() + _PATIENCE_SECONDS
    while note.exists():
        if time.monotonic() > give_up_at:
            sys.exit(f"Process {running['pid']} does not stop; its log says why.")
        time.sleep(0.1)
    print(f"Stopped {running['url']}.")


if __name__ == "__main__":
    main()
