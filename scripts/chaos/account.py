"""The account at the end: what became of every job, by its record, its log and its file."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from jobs.errors import JobNotFoundError
from jobs.state import FINAL_STATES, Event, Job, JobState
from jobs.store import JobStore
from scripts.chaos.monkey import Blow


@dataclass(slots=True)
class Account:
    """Counts over all accepted jobs; ``recoveries`` are seconds from a blow to the job's next start.

    ``refused`` is how often the artifact store failed on purpose.
    """

    submitted: int = 0
    refused: int = 0
    states: Counter[str] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)
    attempts: int = 0
    lost: list[str] = field(default_factory=list)
    finished_twice: list[str] = field(default_factory=list)
    spoiled: list[str] = field(default_factory=list)
    cleaned: int = 0
    strays: list[str] = field(default_factory=list)
    recoveries: list[float] = field(default_factory=list)

    @property
    def is_clean(self) -> bool:
        """Whether nothing went wrong that must never go wrong, with jobs there and a store that failed."""
        proves = self.submitted > 0 and self.refused > 0
        return proves and not (self.lost or self.finished_twice or self.spoiled or self.strays)


def settle(
    store: JobStore, accepted: Sequence[str], bucket: Path, blows: Sequence[Blow], sweep: Callable[[], None]
) -> Account:
    """Look at every accepted job, and at every file in the bucket's folder.

    ``sweep`` has the service clean up what those left who were killed.
    """
    account = Account(submitted=len(accepted))
    for job_id in accepted:
        try:
            job, events = store.get(job_id), store.events(job_id)
        except JobNotFoundError:
            account.lost.append(job_id)
            continue
        _note(account, job, events, bucket)
        account.recoveries += _recoveries(events, blows)
    strays = _strays(bucket, set(accepted))
    sweep()  # which the service does by itself every few minutes
    account.strays = sorted(_strays(bucket, set(accepted)))
    account.cleaned = len(strays) - len(account.strays)
    return account


def _strays(bucket: Path, known: set[str]) -> set[str]:
    """Files that no job has a use for: all but the videos of known jobs."""
    return {
        str(file.relative_to(bucket))
        for file in bucket.rglob("*")
        if file.is_file() and not (file.suffix == ".mp4" and file.parent.name in known)
    }


def _note(account: Account, job: Job, events: Sequence[Event], bucket: Path) -> None:
    account.states[job.state] += 1
    account.attempts += job.attempt
    if job.state not in FINAL_STATES:
        account.lost.append(job.id)
    if sum(event.type in FINAL_STATES for event in events) > 1:
        account.finished_twice.append(job.id)
    if job.state is JobState.FAILED and job.error:
        account.failures[job.error.code] += 1
    if job.result and not _is_whole(bucket / job.result["artifact"], job.result["sha256"]):
        account.spoiled.append(job.id)


def _is_whole(file: Path, sha256: str) -> bool:
    return file.is_file() and hashlib.sha256(file.read_bytes()).hexdigest() == sha256


def _recoveries(events: Iterable[Event], blows: Sequence[Blow]) -> list[float]:
    """For each start of an attempt that a blow cut short: how long until the next start."""
    starts = [(event.at, event.data["worker"]) for event in events if event.type == JobState.IN_PROGRESS]
    recoveries = []
    for (begun, worker), (again, _) in pairwise(starts):
        hits = [blow.at for blow in blows if begun <= blow.at <= again and _is_on(worker, blow.machine)]
        if hits:
            recoveries.append(again - hits[0])
    return recoveries


def _is_on(worker: str, machine: str) -> bool:
    return worker.endswith("@box" + machine.removeprefix("machine "))
