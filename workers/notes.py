"""What is told the owner of a job while it runs: log lines that are marked so, on their way to the record."""

from __future__ import annotations

from collections.abc import Mapping
from logging import LogRecord

from jobs.state import Lease, Note
from workers.lease import LeaseKeeper

_LONGEST = 300


class Notes:
    """Hands lines about this worker's jobs to the keeper, which writes them down in its own time.

    Args:
        worker: the name that the jobs were claimed by.
        keeper: the keeper of their leases.
    """

    def __init__(self, worker: str, keeper: LeaseKeeper) -> None:
        self._worker = worker
        self._keeper = keeper

    def take(self, line: LogRecord, text: str, about: Mapping[str, str]) -> None:
        """Take one line; see ``telemetry.owners``. One that is about no attempt has no owner."""
        if "job" in about and about.get("attempt"):
            lease = Lease(about["job"], self._worker, int(about["attempt"]))
            note = Note(line.created, line.levelname.lower(), lease.attempt, text[:_LONGEST])
            self._keeper.note(lease, note)
