"""Whether this container's process is well, by exit status: ``python -m scripts.healthcheck gateway``.

It is started anew every few seconds, so each check loads only what it needs.
"""

from __future__ import annotations

import os
import socket
import sys
from urllib.request import urlopen

_TIMEOUT_SECONDS = 2


def gateway_is_well() -> bool:
    """Whether the gateway of this machine answers."""
    url = f"http://127.0.0.1:{os.environ.get('PORT') or 8004}/health"
    try:
        with urlopen(url, timeout=_TIMEOUT_SECONDS):
            return True
    except OSError:  # an HTTP error is one as well
        return False


def worker_is_well() -> bool:
    """Whether the store has heard of a worker of this machine lately."""
    from jobs.connect import open_store  # noqa: PLC0415
    from jobs.errors import JobsError  # noqa: PLC0415
    from jobs.settings import JobsSettings, load_settings  # noqa: PLC0415

    try:
        workers = open_store(load_settings(JobsSettings)).workers()
    except JobsError:
        return False
    return any(worker.name.endswith(f"@{socket.gethostname()}") for worker in workers)


def main() -> None:
    """Exit with 0 when the named part is well."""
    checks = {"gateway": gateway_is_well, "worker": worker_is_well}
    part = sys.argv[1] if len(sys.argv) == 2 else ""  # noqa: PLR2004 - the program and its argument
    if part not in checks:
        sys.exit("Usage: python -m scripts.healthcheck gateway|worker")
    sys.exit(not checks[part]())


if __name__ == "__main__":
    main()
