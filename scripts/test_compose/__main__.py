"""The containers, built, run and looked at: ``python -m scripts.test_compose``, or ``make test-compose``.

Builds both images, brings the stack up without a GPU, with Flower and Prometheus, sends it jobs, kills and
drains the worker's container while they run, and sees them complete. Needs docker with compose, or podman
with podman-compose 1.3. ``--local-bases`` first makes the images that others publish out of Debian's
packages, where no registry can be reached (podman, as root); Grafana, which Debian does not have, is left
out then. Further arguments go to the builds.
"""

from __future__ import annotations

import sys
import time
from argparse import ArgumentParser, RawDescriptionHelpFormatter

import httpx

from scripts.test_compose.bases import make_bases
from scripts.test_compose.checks import CheckFailedError, Checks
from scripts.test_compose.stack import Stack


def look(stack: Stack, pause_seconds: float) -> None:
    """Run every check, and print how each went.

    Raises:
        CheckFailedError: one failed.
    """
    with httpx.Client(base_url=stack.url, timeout=10) as client:
        checks = Checks(stack, client)
        for check in (
            checks.size,
            checks.health,
            checks.confinement,
            checks.killed_worker,
            checks.drained_worker,
            checks.stopped_gateway,
            checks.prometheus,
            checks.dashboard,
            checks.flower,
        ):
            start = time.monotonic()
            said = check()
            print(f"ok    {check.__name__}: {said} ({time.monotonic() - start:.0f} s)", flush=True)
        if pause_seconds:
            print(f"Everything runs for another {pause_seconds:.0f} s: {stack.url}", flush=True)
            time.sleep(pause_seconds)


def main() -> None:
    """Build, run, kill, look, clean up."""
    parser = ArgumentParser(
        prog="python -m scripts.test_compose",
        description=__doc__,
        formatter_class=RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--local-bases", action="store_true", help="make the base images from Debian's packages"
    )
    parser.add_argument("--no-build", action="store_true", help="take the images as they are")
    parser.add_argument("--port", type=int, default=8004)
    parser.add_argument("--pause", type=float, default=0, help="seconds to leave everything running for")
    options, build_arguments = parser.parse_known_args()
    stack = Stack(options.port, grafana=not options.local_bases)
    if options.local_bases and not options.no_build:
        make_bases(stack.engine)
    if not options.no_build:
        stack.build(build_arguments)
    with stack.up():
        try:
            look(stack, options.pause)
        except CheckFailedError as error:
            print(f"FAIL  {error}", flush=True)
            sys.exit(1)


if __name__ == "__main__":
    main()
