"""All inputs of one request: fetched, checked, and ready to be stored with the job."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from api.inputs.sources import SourceError, Sources
from jobs.disks import Disks, full_disk_told
from jobs.scratch import scratch
from wan_models.bodies import Animation, VideoBody
from wan_models.errors import InvalidRequestError
from wan_models.inspection import Inspector, UnfitMediaError
from wan_models.media import Media, MediaKind

FOLDER_INPUTS = {
    "src_pose.mp4": ("pose", MediaKind.VIDEO),
    "src_face.mp4": ("face", MediaKind.VIDEO),
    "src_ref.png": ("ref", MediaKind.IMAGE),
    "src_bg.mp4": ("bg", MediaKind.VIDEO),
    "src_mask.mp4": ("mask", MediaKind.VIDEO),
}
"""The files of an animation's folder: the input that each becomes, and what it has to be."""

_KINDS = {
    "image": MediaKind.IMAGE,
    "last_image": MediaKind.IMAGE,
    "audio": MediaKind.AUDIO,
    "tts_prompt": MediaKind.AUDIO,
    "pose": MediaKind.VIDEO,
    "src_root": MediaKind.ARCHIVE,
}


@dataclass(frozen=True, slots=True)
class Input:
    """A checked input on this machine."""

    path: Path
    media: Media

    @property
    def digest(self) -> str:
        """The SHA-256 of what is kept: the same file gives the same, however it was sent."""
        with self.path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()


class Gatherer:
    """Gathers inputs; safe to share between threads."""

    def __init__(self, sources: Sources, inspector: Inspector, disks: Disks) -> None:
        self._sources = sources
        self._inspector = inspector
        self._disks = disks

    @contextmanager
    def gathered(
        self, body: VideoBody, files: Mapping[str, Path], tenant: str
    ) -> Iterator[Mapping[str, Input]]:
        """The inputs that a body names, by their names, for as long as the context lasts.

        Args:
            body: what the client sent.
            files: what came with the request itself, by the field; these are used up.
            tenant: whose uploads may be used.

        Raises:
            InvalidRequestError: an input cannot be had or is of no use; its field is named.
            ArtifactStoreUnavailableError: an upload cannot be read just now.
            DiskFullError: there is no room for them.
        """
        if not body.given:
            yield {}
            return
        self._disks.check()
        with full_disk_told(), scratch("gather") as space:
            inputs = dict[str, Input]()
            for field, source in body.given.items():
                with self._told(field):
                    inputs |= self._one(body, field, files.get(field) or source, tenant, space)
            yield inputs

    def checked(self, field: str, kind: MediaKind, file: Path, space: Path) -> Input:
        """A file that came for a field of the client's own, checked and kept in a folder; it is used up.

        Raises:
            InvalidRequestError: it is of no use; its field is named.
            DiskFullError: there is no room for it.
        """
        with full_disk_told(), self._told(field):
            return self._inspect(kind, file, space)

    @contextmanager
    def _told(self, field: str) -> Iterator[None]:
        try:
            yield
        except (SourceError, UnfitMediaError) as error:
            self._disks.check()  # without room, nothing can be said of the file
            raise InvalidRequestError(field, str(error)) from None

    def _one(
        self, body: VideoBody, field: str, source: Path | str, tenant: str, space: Path
    ) -> dict[str, Input]:
        name = body.sources[field]
        if name == "src_root":
            return self._animation(self._folder(source, tenant, space), body, space)
        return {name: self._inspect(_KINDS[name], self._file(source, tenant, space), space)}

    def _file(self, source: Path | str, tenant: str, space: Path) -> Path:
        if isinstance(source, Path):
            return source
        fetched = space / uuid4().hex
        self._sources.fetch(source, tenant, fetched)
        return fetched

    def _inspect(self, kind: MediaKind, file: Path, space: Path) -> Input:
        kept = space / uuid4().hex
        return Input(kept, self._inspector.inspect(kind, file, kept))

    def _folder(self, source: Path | str, tenant: str, space: Path) -> Path:
        """The files of an animation in a folder of ours: copied from one, or unpacked."""
        if isinstance(source, str) and self._sources.is_folder(source):
            copied = space / uuid4().hex
            self._sources.folder(source, tuple(FOLDER_INPUTS), copied)
            return copied
        return self._inspect(MediaKind.ARCHIVE, self._file(source, tenant, space), space).path

    def _animation(self, folder: Path, body: VideoBody, space: Path) -> dict[str, Input]:
        """Each file of the folder that the task looks at: only a replacement has a background and a mask."""
        replacing = isinstance(body, Animation) and body.replace_flag
        unused = () if replacing else ("bg", "mask")
        inputs = {}
        for file, (name, kind) in FOLDER_INPUTS.items():
            if name not in unused and (folder / file).exists():
                try:
                    inputs[name] = self._inspect(kind, folder / file, space)
                except UnfitMediaError as error:
                    raise UnfitMediaError(f"{file}: {error}") from None
        return inputs
