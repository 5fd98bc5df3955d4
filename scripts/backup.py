"""A copy of everything that the service keeps: ``python -m scripts.backup DIRECTORY``, while it runs.

``python -m scripts.backup --restore DIRECTORY`` puts it back; stop the service for that. A backup holds
prompts and the secrets of webhooks: keep it as safe as the service itself.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from api.settings import GatewaySettings
from api.version import VERSION
from jobs.artifacts import ArtifactStore, check_key
from jobs.connect import open_artifacts, open_store
from jobs.errors import ArtifactNotFoundError, JobsError
from jobs.settings import JobsSettings, load_settings
from jobs.snapshot import Entry, Snapshots
from jobs.state import Job, JobFilter
from jobs.store import JobStore
from scripts.backup_files import digest_of, read_lines, write_lines, write_text
from scripts.keys import reachable
from scripts.masked import masked
from workers.settings import WorkerSettings

_FORMAT = 1
_ABOUT = "backup.json"  # written last: without it, a backup is not whole
_RECORDS = "records.jsonl"
_JOBS = "jobs.jsonl"
_SETTINGS = "settings.json"
_MANIFEST = "artifacts.jsonl"
_ARTIFACTS = "artifacts"
_PAGE = 500


class BackupError(Exception):
    """There is nothing to restore from, or nowhere to restore it to. The message says what to do."""


def back_up(settings: JobsSettings, folder: Path, *, with_artifacts: bool = False) -> dict[str, Any]:
    """Copy the records, describe jobs, artifacts and configuration; returns what ``backup.json`` says.

    The records are of one moment. What finished before it has its artifact listed.

    Args:
        settings: which service.
        folder: a new or empty directory.
        with_artifacts: copy the artifacts as well, and not just their names, sizes and digests.

    Raises:
        BackupError: the folder has something in it.
        JobsError: Redis or the artifact store does not answer.
    """
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    if any(folder.iterdir()):
        raise BackupError(f"{folder} is not empty. Name a new directory.")
    with closing(Snapshots(settings.redis_address)) as snapshots:
        moment, entries = snapshots.read()
    artifacts = open_artifacts(settings)
    configuration = masked(GatewaySettings()) | masked(WorkerSettings()) | masked(settings)
    write_text(folder / _SETTINGS, json.dumps(configuration, indent=2))
    counts = {
        "records": write_lines(folder / _RECORDS, (entry.told() for entry in entries)),
        "jobs": write_lines(folder / _JOBS, map(asdict, _jobs(open_store(settings, artifacts)))),
        "artifacts": write_lines(folder / _MANIFEST, _manifest(artifacts, folder, with_artifacts)),
    }
    about = {
        "format": _FORMAT,
        "version": VERSION,
        "taken_at": f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%dT%H:%M:%SZ}",
        "with_artifacts": with_artifacts,
        **counts,
        "sha256": {name: digest_of(folder / name) for name in (_RECORDS, _JOBS, _SETTINGS, _MANIFEST)},
    }
    write_text(folder / _ABOUT, json.dumps(about, indent=2))
    return about


def restore(settings: JobsSettings, folder: Path, *, force: bool = False) -> list[str]:
    """Put records and copied artifacts back; returns the keys of artifacts that are still missing.

    Jobs that ran when the backup was taken are rescued like those of a worker that died, once a supervisor
    runs again.

    Args:
        settings: where to.
        folder: what ``back_up`` wrote.
        force: replace the records that are there.

    Raises:
        BackupError: the backup is not whole, there are records already, or workers live.
        JobsError: Redis or the artifact store does not answer, or refuses.
    """
    _check(folder)
    artifacts = open_artifacts(settings)
    with closing(Snapshots(settings.redis_address)) as snapshots:
        if not snapshots.is_empty() and not force:
            raise BackupError("There are records in this Redis already. --force replaces them all.")
        if living := open_store(settings).workers():
            names = ", ".join(worker.name for worker in living)
            raise BackupError(
                f"Workers were heard of just now: {names}. Stop the service first; once stopped, "
                "they count as gone within a minute."
            )
        # Artifacts first, as when they were made: no record ever names a video that is yet to come.
        missing = [
            told["key"] for told in read_lines(folder / _MANIFEST) if not _return(artifacts, folder, told)
        ]
        snapshots.clear()
        snapshots.write(map(Entry.read, read_lines(folder / _RECORDS)))
    return missing


def _jobs(store: JobStore) -> Iterator[Job]:
    """Every job, newest first."""
    before = None
    while page := store.find(JobFilter(), _PAGE, before):
        yield from page
        before = page[-1].id


def _manifest(artifacts: ArtifactStore, folder: Path, copied: bool) -> Iterator[dict[str, Any]]:
    for artifact in artifacts.find():
        path = folder / _ARTIFACTS / artifact.key if copied else Path(os.devnull)
        path.parent.mkdir(parents=True, exist_ok=True)
        digest = hashlib.sha256()
        try:
            stream = artifacts.read(artifact.key)
        except ArtifactNotFoundError:  # removed since it was listed
            continue
        with closing(stream), path.open("wb") as file:
            for chunk in stream:
                digest.update(chunk)
                file.write(chunk)
        yield {"key": artifact.key, "size": artifact.size, "sha256": digest.hexdigest()}


def _return(artifacts: ArtifactStore, folder: Path, told: dict[str, Any]) -> bool:
    """Whether the artifact is in the store, to which it is copied where the backup has it."""
    path = folder / _ARTIFACTS / check_key(told["key"])
    if path.is_file():
        if digest_of(path) != told["sha256"]:
            raise BackupError(f"{path} is not what was backed up. Nothing but artifacts was restored.")
        artifacts.put(told["key"], path)
        return True
    try:
        return bool(artifacts.stat(told["key"]).size == told["size"])
    except ArtifactNotFoundError:
        return False


def _check(folder: Path) -> None:
    """Refuse what is no whole backup of a format that this version reads."""
    try:
        about = json.loads((folder / _ABOUT).read_text(encoding="utf-8"))
        told, version, digests = about["format"], about["version"], dict(about["sha256"])
    except FileNotFoundError:
        raise BackupError(f"{folder} holds no backup, or one that was cut short: no {_ABOUT}.") from None
    except (ValueError, KeyError, TypeError):
        raise BackupError(f"{folder / _ABOUT} is damaged. Restore another backup.") from None
    if told != _FORMAT:
        raise BackupError(f"{folder} was written by wanserve {version}. Restore it with that one.")
    for name, digest in digests.items():
        if digest_of(folder / name) != digest:
            raise BackupError(f"{folder / name} is damaged. Restore another backup.")


def main(arguments: Sequence[str]) -> None:
    """Back up, or restore."""
    parser = ArgumentParser(
        prog="python -m scripts.backup", description=__doc__, formatter_class=RawDescriptionHelpFormatter
    )
    parser.add_argument("directory", type=Path, help="where the backup is, or is to be")
    parser.add_argument("--artifacts", action="store_true", help="copy videos and other files as well")
    parser.add_argument("--restore", action="store_true", help="put the backup back")
    parser.add_argument("--force", action="store_true", help="restore over records that are there")
    options = parser.parse_args(arguments)
    settings = load_settings(JobsSettings)
    try:
        with reachable(settings):
            if options.restore:
                report_restored(options.directory, restore(settings, options.directory, force=options.force))
            else:
                report_taken(
                    options.directory,
                    back_up(settings, options.directory, with_artifacts=options.artifacts),
                )
    except (BackupError, JobsError, OSError, ValueError) as error:
        sys.exit(str(error))


def report_taken(folder: Path, about: dict[str, Any]) -> None:
    """Say what a backup holds."""
    print(f"{folder}: {about['jobs']} jobs in {about['records']} records, as of {about['taken_at']}.")
    how = "copied" if about["with_artifacts"] else "listed, not copied"
    print(f"{about['artifacts']} artifacts are {how}.")


def report_restored(folder: Path, missing: Sequence[str]) -> None:
    """Say what was put back, and what could not be."""
    print(f"Restored {folder}. Start the service; jobs that ran then are taken up again.")
    if missing:
        print(f"{len(missing)} artifacts are in neither the backup nor the store, the first: {missing[0]}")


if __name__ == "__main__":
    main(sys.argv[1:])
