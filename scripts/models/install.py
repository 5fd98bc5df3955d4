"""A model from the hub into its place, where it appears whole and checked, or not at all."""

from __future__ import annotations

import errno
import fcntl
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import Literal, Protocol

from scripts.models.errors import DiskFullError, InstallError
from scripts.models.fetch import Fetcher, partial_path
from scripts.models.half import can_be_halved
from scripts.models.hub import Hub, HubFile, Snapshot
from scripts.models.layout import needed_files
from wan_models.catalog import ModelSpec
from wan_models.manifest import MANIFEST, FileEntry, Manifest
from wan_models.models_dir import MODEL_INDEX, installed_model, is_complete, model_path

Dtype = Literal["bf16"]

_CONNECTIONS = 4
_SPARE_BYTES = 1 << 30  # for what else lives on the disk
_ORIGINAL_BYTES = 13_000_000_000  # that converting the original layout needs for a while
_ORIGINAL_MARK = "wav2vec2-large-xlsr-53-english"


class Progress(Protocol):
    """Shows how a download goes. It is called from several threads."""

    def begin(self, title: str, total: int) -> None:
        """A download of so many bytes begins."""
        ...

    def advance(self, size: int) -> None:
        """So many bytes came, or were there already; fewer than none where some have to come again."""
        ...

    def note(self, text: str) -> None:
        """Something else is being done, or is worth a line."""
        ...


class Installer:
    """Installs models into a models directory.

    Args:
        models_dir: the directory.
        hub: where they come from.
        progress: is told how it goes.
        dtype: ``bf16`` keeps weights in half their size where they are run so.
        free_bytes: how much room the disk of a folder has.
    """

    def __init__(
        self,
        models_dir: Path,
        hub: Hub,
        progress: Progress,
        dtype: Dtype | None = None,
        free_bytes: Callable[[Path], int] = lambda folder: shutil.disk_usage(folder).free,
    ) -> None:
        self._models_dir = models_dir
        self._hub = hub
        self._progress = progress
        self._dtype = dtype
        self._free_bytes = free_bytes

    def install(self, spec: ModelSpec) -> None:
        """Install a model, or repair it. Nothing is done where it is installed; two at once take turns.

        Raises:
            InstallError: it did not work; what has come so far is kept beside the model's place.
        """
        target = model_path(self._models_dir, spec.id)
        with _writing(target.parent), self._alone(target):
            if model := installed_model(self._models_dir, spec.id):
                tiny = (
                    " It is a tiny one: set MODELS_DIR to where the real ones belong." if model.tiny else ""
                )
                self._progress.note(f"{spec.id} is installed already, in {target}.{tiny}")
                return
            partial = target.with_name(f".{spec.id}.partial")
            if _is_original(target):  # somebody copied it here
                self._finish(target, Manifest(repository=spec.repository))
            else:
                _reopen(target, partial)
                self._finish(partial, self._download(spec, partial))
                partial.rename(target)
            self._progress.note(f"Installed {spec.id} in {target}.")

    @contextmanager
    def _alone(self, target: Path) -> Iterator[None]:
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.with_name(f".{target.name}.lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                self._progress.note(f"Another process is installing {target.name}. Waiting for it.")
                fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _download(self, spec: ModelSpec, folder: Path) -> Manifest:
        """Bring every file into a folder. What it holds already, and its manifest vouches for, stays."""
        snapshot = self._hub.snapshot(spec.repository)
        files = needed_files(snapshot.files)
        before = Manifest.read(folder)
        dtype = self._dtype or before.dtype
        kept = {file.path: before.files[file.path] for file in files if _is_kept(file, before, folder, dtype)}
        manifest = replace(
            before,
            repository=spec.repository,
            commit=snapshot.commit,
            dtype=dtype,
            files=kept,
            damaged=(),
        )
        missing = [file for file in files if file.path not in kept]
        self._check_room(spec, folder, missing, half=dtype is not None)
        folder.mkdir(exist_ok=True)
        manifest.write(folder)
        self._progress.begin(spec.id, sum(file.size for file in files))
        self._progress.advance(sum(file.size for file in files if file.path in kept))
        for path, entry in self._fetch(snapshot, folder, missing, half=dtype is not None):
            manifest = replace(manifest, files={**manifest.files, path: entry})
            manifest.write(folder)
        return manifest

    def _fetch(
        self, snapshot: Snapshot, folder: Path, files: list[HubFile], *, half: bool
    ) -> Iterator[tuple[str, FileEntry]]:
        """Bring files over several connections, and tell of each that is there. The first fault stops all."""
        stopped = Event()
        fetcher = Fetcher(self._hub, snapshot, folder, stopped)
        with ThreadPoolExecutor(_CONNECTIONS, thread_name_prefix="fetch") as threads:
            coming = {
                threads.submit(
                    fetcher.fetch, file, self._progress.advance, half=half and can_be_halved(file.path)
                ): file.path
                for file in files
            }
            try:
                for done in as_completed(coming):
                    yield coming[done], done.result()
            finally:
                stopped.set()
                threads.shutdown(cancel_futures=True)

    def _check_room(self, spec: ModelSpec, folder: Path, files: list[HubFile], *, half: bool) -> None:
        needed = _SPARE_BYTES + sum(_room_for(file, folder, half=half) for file in files)
        if half:  # each is there whole before it is halved
            needed += sum(sorted(file.size // 2 for file in files)[-_CONNECTIONS:])
        if any(file.path.startswith(_ORIGINAL_MARK) for file in files):
            needed += _ORIGINAL_BYTES
        free = self._free_bytes(folder.parent)
        if needed > free:
            smaller = "" if half else ", take --dtype bf16, which needs about half of it,"
            raise DiskFullError(
                f"{spec.id} needs {needed / 1e9:.1f} GB more, and {folder.parent} has {free / 1e9:.1f} GB"
                f" free. Make room{smaller} or set MODELS_DIR to a larger disk."
            )

    def _finish(self, folder: Path, manifest: Manifest) -> None:
        """Make a folder that has every file into a model, and vouch for it."""
        if manifest.files:
            _prune(folder, manifest)
        if _is_original(folder):
            self._progress.note(f"Converting {folder}.")
            from wan_models.pipelines.s2v.original import convert_original  # noqa: PLC0415 - brings torch

            convert_original(folder)
            manifest = manifest.sealed(folder)
        if not is_complete(folder):
            raise InstallError(f"{manifest.repository} lacks parts that its own {MODEL_INDEX} asks for.")
        manifest.write(folder)


def _reopen(target: Path, partial: Path) -> None:
    """Make a damaged model of ours into a download that has come far."""
    if not target.exists():
        return
    manifest = Manifest.read(target)
    if manifest.tiny or not manifest.files:
        raise InstallError(f"{target} exists but is incomplete. Move it away, then try again.")
    shutil.rmtree(partial, ignore_errors=True)
    target.rename(partial)


def _is_original(folder: Path) -> bool:
    """Whether a folder is laid out as Wan publishes speech to video."""
    return (folder / _ORIGINAL_MARK).is_dir()


def _is_kept(file: HubFile, before: Manifest, folder: Path, dtype: str | None) -> bool:
    entry = before.files.get(file.path)
    if entry is None or file.path in before.damaged or entry.source != file.digest:
        return False
    if dtype != before.dtype and can_be_halved(file.path):
        return False
    place = folder / file.path
    return place.is_file() and place.stat().st_size == entry.size


def _room_for(file: HubFile, folder: Path, *, half: bool) -> int:
    """Bytes still to come. Only the transformers are published in float32, all of them but one."""
    size = file.size // 2 if half and file.path.startswith("transformer") else file.size
    partial = partial_path(folder, file)
    return max(0, size - (partial.stat().st_size if partial.exists() else 0))


def _prune(folder: Path, manifest: Manifest) -> None:
    """Remove what belongs to an older commit, or to a download that broke."""
    for path in sorted(folder.rglob("*"), reverse=True):
        name = path.relative_to(folder).as_posix()
        if path.is_dir():
            if not any(path.iterdir()):
                path.rmdir()
        elif name not in manifest.files and name != MANIFEST:
            path.unlink()


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFullError(
                f"The disk of {folder} is full. Make room, then start the same command again:"
                " it goes on where it stopped."
            ) from None
        raise InstallError(f"{error.filename or folder} cannot be written: {error.strerror}.") from None
