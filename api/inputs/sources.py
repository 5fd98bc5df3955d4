"""From what a client writes for an input to a local file, or to a refusal in a sentence."""

from __future__ import annotations

import base64
import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol
from urllib.parse import unquote_to_bytes, urljoin

from api.inputs.assets import Assets
from jobs.outbound import Outbound, OutboundError

MAX_REDIRECTS = 3
CHUNK_BYTES = 128 * 1024
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_OK = 200


class SourceError(Exception):
    """An input cannot be had from where the client says; the message tells why."""


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """Where inputs may come from.

    ``inputs_dir`` is the one folder that paths may lead into, None for none; ``max_bytes`` and
    ``url_seconds`` bound each file.
    """

    assets: Assets
    outbound: Outbound
    inputs_dir: Path | None
    max_bytes: int
    url_seconds: float

    def fetch(self, source: str, tenant: str, to: Path) -> None:
        """Copy an input into the new file ``to``.

        Raises:
            SourceError: it cannot be had.
            ArtifactStoreUnavailableError: an upload cannot be read just now.
        """
        scheme = match[1].lower() if (match := re.match(r"([A-Za-z][A-Za-z0-9+.-]+):", source)) else ""
        ways: dict[str, Callable[[], None]] = {
            "asset": lambda: self._from_asset(source, tenant, to),
            "data": lambda: self._from_data(source, to),
            "https": lambda: self._from_url(source, to),
            "http": lambda: self._from_url(source, to),
            "": lambda: self._from_path(source, to),
        }
        if scheme not in ways:
            raise SourceError("Send an https:// URL, an asset:// id, a data: URL, or a path.")
        ways[scheme]()

    def folder(self, source: str, names: tuple[str, ...], to: Path) -> None:
        """Copy the files of these names, as far as they are there, from a folder below ``inputs_dir``.

        Raises:
            SourceError: there is no such folder, or a file in it is too large.
        """
        root, way = self._below(source)
        to.mkdir()
        for name in names:
            try:
                file = _open_below(root, (*way, name))
            except OSError:
                continue
            with file:
                self._save(_chunks(file), to / name)

    def is_folder(self, source: str) -> bool:
        """Whether this names a folder below ``inputs_dir``."""
        try:
            root, way = self._below(source)
        except SourceError:
            return False
        return root.joinpath(*way).is_dir()

    def _from_path(self, source: str, to: Path) -> None:
        root, way = self._below(source)
        try:
            file = _open_below(root, way)
        except OSError:
            raise SourceError("There is no such file below INPUTS_DIR.") from None
        with file:
            self._save(_chunks(file), to)

    def _below(self, source: str) -> tuple[Path, tuple[str, ...]]:
        """``inputs_dir``, and the way from there, free of symbolic links, to what the path names."""
        if self.inputs_dir is None:
            raise SourceError("This service takes no paths; upload the file, or send a URL of it.")
        try:
            root = self.inputs_dir.resolve()
            path = (root / source).resolve()
            return root, path.relative_to(root).parts
        except (OSError, ValueError, RuntimeError):
            raise SourceError("There is no such file below INPUTS_DIR.") from None

    def _from_asset(self, source: str, tenant: str, to: Path) -> None:
        stream = self.assets.open(source, tenant)
        if stream is None:
            raise SourceError("There is no such upload, or it has expired.")
        with stream:
            self._save(stream, to)

    def _from_data(self, source: str, to: Path) -> None:
        """RFC 2397; the declared type is not asked."""
        head, comma, data = source.partition(",")
        if not comma:
            raise SourceError("The data: URL has no comma.")
        content = unquote_to_bytes(data)
        if head.lower().endswith(";base64"):
            try:
                content = base64.b64decode(content, validate=True)
            except ValueError:
                raise SourceError("The data: URL is not valid base64.") from None
        to.write_bytes(content)

    def _from_url(self, source: str, to: Path) -> None:
        url = source
        for _ in range(MAX_REDIRECTS + 1):
            try:
                onward = self._download(url, to)
            except OutboundError as error:
                raise SourceError(str(error)) from None
            if onward is None:
                return
            url = urljoin(url, onward)
        raise SourceError(f"The URL leads on more than {MAX_REDIRECTS} times.")

    def _download(self, url: str, to: Path) -> str | None:
        """Save what a URL serves, or tell where it leads on."""
        with self.outbound.request("GET", url, headers={"Accept": "*/*"}, seconds=self.url_seconds) as answer:
            if answer.status in _REDIRECTS and answer.headers["location"]:
                return str(answer.headers["location"])
            if answer.status != _OK:
                raise SourceError(f"The URL answered with status {answer.status}.")
            self._save(_chunks(answer), to)
        return None

    def _save(self, chunks: Iterable[bytes], to: Path) -> None:
        written = 0
        with to.open("xb") as file:
            for chunk in chunks:
                written += len(chunk)
                if written > self.max_bytes:
                    raise SourceError(f"The file is larger than the {self.max_bytes} bytes allowed here.")
                file.write(chunk)


def _chunks(source: _Readable) -> Iterator[bytes]:
    return iter(lambda: source.read(CHUNK_BYTES), b"")


def _open_below(root: Path, way: Sequence[str]) -> BinaryIO:
    """Open a regular file step by step, so that no link put there meanwhile leads elsewhere.

    Raises:
        OSError: there is no such file.
    """
    place = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for name in way:
            # Not blocking: opening a pipe would wait for a writer.
            step = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=place)
            os.close(place)
            place = step
        if not stat.S_ISREG(os.fstat(place).st_mode):
            raise FileNotFoundError
    except OSError:
        os.close(place)
        raise
    return os.fdopen(place, "rb")
