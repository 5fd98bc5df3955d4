"""The Hugging Face hub's protocol: what is in a repository, and its files, also from the middle on.

See https://huggingface.co/docs/hub/api and ``hf_api.py`` of huggingface_hub.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, Self
from urllib.parse import quote

import httpx
from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from scripts.models.errors import HubError

_TIMEOUT = httpx.Timeout(60, connect=20)  # between two packets
_AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})
_UNAUTHORIZED, _FORBIDDEN, _NOT_FOUND, _PARTIAL, _NOT_SATISFIABLE = 401, 403, 404, 206, 416


class HubSettings(BaseSettings):
    """The hub to install from, by the variables that the hub's own tools read."""

    model_config = SettingsConfigDict(env_ignore_empty=True, hide_input_in_errors=True)

    hf_endpoint: str = Field("https://huggingface.co", pattern=r"^https?://[^\s/?#@]+(/[^\s?#]*)?$")
    hf_token: SecretStr | None = None


@dataclass(frozen=True, slots=True)
class HubFile:
    """A file of a repository. ``digest`` is its SHA-256 where it is large, else git's SHA-1 of it."""

    path: str
    size: int
    digest: str


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The files of a repository at one commit."""

    repository: str
    commit: str
    files: tuple[HubFile, ...]


class TryAgainError(HubError):
    """The connection or the hub failed in a way that may pass. The hub asks to wait for ``seconds``."""

    def __init__(self, message: str, seconds: float | None = None) -> None:
        super().__init__(message)
        self.seconds = seconds


class Hub:
    """A client of one hub; a context manager. It may be used by several threads."""

    def __init__(self, settings: HubSettings) -> None:
        token = settings.hf_token
        self._endpoint = settings.hf_endpoint.rstrip("/")
        self._client = httpx.Client(
            timeout=_TIMEOUT,
            follow_redirects=True,  # httpx keeps the token to the hub's own origin
            headers={"Authorization": f"Bearer {token.get_secret_value()}"} if token else {},
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def snapshot(self, repository: str) -> Snapshot:
        """What the main branch of a repository holds now.

        Raises:
            HubError: it cannot be read, or is not a description of a repository.
        """
        with self._asking(repository):
            answer = self._client.get(
                f"{self._endpoint}/api/models/{repository}/revision/main", params={"blobs": "true"}
            )
            _check(answer, repository)
        try:
            told = answer.json()
            files = tuple(_file(sibling) for sibling in told["siblings"])
            return Snapshot(repository, _commit(told["sha"]), files)
        except (ValueError, KeyError, TypeError) as error:
            raise HubError(
                f"{self._endpoint} does not describe {repository} as a hub does: {error}"
            ) from None

    @contextmanager
    def read(self, snapshot: Snapshot, path: str, start: int) -> Iterator[tuple[int, Iterator[bytes]]]:
        """A file's bytes, from a place in it on or, where the hub will not have that, from the first.

        Yields:
            Where they begin, and the bytes themselves.

        Raises:
            TryAgainError: the connection broke, or the hub is busy.
            HubError: the hub refuses.
        """
        name = f"{snapshot.repository}/{path}"
        url = f"{self._endpoint}/{snapshot.repository}/resolve/{snapshot.commit}/{quote(path)}"
        # Compressed on the way, a byte's place in the file would not be its place in the answer.
        headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={start}-"} if start else {})
        with self._asking(name), self._client.stream("GET", url, headers=headers) as answer:
            if answer.status_code == _NOT_SATISFIABLE and start:
                yield 0, iter(())
                return
            _check(answer, name)
            yield _start(answer), answer.iter_bytes()  # as they come: none is held back

    @contextmanager
    def _asking(self, name: str) -> Iterator[None]:
        try:
            yield
        except httpx.TransportError as error:
            reason = str(error) or type(error).__name__
            raise TryAgainError(f"{name}: the connection to {self._endpoint} failed: {reason}") from None
        except httpx.HTTPError as error:
            raise HubError(f"{name}: {self._endpoint} answers nothing of use: {error}") from None


def _check(answer: httpx.Response, name: str) -> None:
    status = answer.status_code
    if answer.is_success:
        return
    if status in (_UNAUTHORIZED, _FORBIDDEN):
        raise HubError(
            f"{name}: the hub refuses ({status}). Set HF_TOKEN to a token that may read it, and accept the"
            " model's terms on its page if it has any."
        )
    if status == _NOT_FOUND:
        raise HubError(f"{name} is not on this hub ({status}). Is HF_ENDPOINT the right one?")
    if status in _AGAIN:
        wait = answer.headers.get("Retry-After", "")
        raise TryAgainError(f"{name}: the hub is busy ({status}).", float(wait) if wait.isdecimal() else None)
    raise HubError(f"{name}: the hub answers {status}.")


def _start(answer: httpx.Response) -> int:
    found = re.match(r"bytes (\d+)-", answer.headers.get("Content-Range", ""))
    return int(found[1]) if answer.status_code == _PARTIAL and found else 0


def _file(sibling: dict[str, Any]) -> HubFile:
    path = PurePosixPath(sibling["rfilename"])
    if path.is_absolute() or ".." in path.parts or "\\" in str(path):
        raise ValueError(f"{str(path)!r} is no path in a repository.")
    large = sibling.get("lfs")
    digest = large["sha256"] if large else sibling["blobId"]
    return HubFile(str(path), int(large["size"] if large else sibling["size"]), str(digest))


def _commit(text: Any) -> str:
    if not re.fullmatch(r"[0-9a-f]{7,64}", str(text)):
        raise ValueError("The commit is no commit.")
    return str(text)
