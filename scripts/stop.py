"""Stop the service that ``make demo`` left running: ``python -m scripts.stop``."""

from __future__ import annotations

import os
import signal
import sys
import time

from jobs.settings import JobsSettings, load_settings
from scripts.running import running_from

_PATIENCE_SECONDS = 3600.0  # a worker may have been told to finish its job first


def main() -> None:
    """Send SIGTERM and wait for the end."""
    data_dir = load_settings(JobsSettings).data_dir
    running = running_from(data_dir)
    if running is None:
        print("Nothing to stop.")
        return
    try:
        os.kill(running.pid, signal.SIGTERM)
    except ProcessLookupError:
        pass  # it has ended just now
    except PermissionError:
        sys.exit(f"Process {running.pid} is another user's, who alone can stop it.")
    print(f"Stopping {running.url}; a worker gives its job back first.", flush=True)
    give_up_at = time.monotonic() + _PATIENCE_SECONDS
    while running_from(data_dir) == running:
        if time.monotonic() > give_up_at:
            sys.exit(f"Process {running.pid} does not stop; its log says why.")
        time.sleep(0.1)
    print(f"Stopped {running.url}.")


if __name__ == "__main__":
    main()
