"""Uploads that wait to be used: named ``asset://<id>``, kept for a while, seen by their tenant alone."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from ulid import ULID

from jobs.artifact_stream import ArtifactStream
from jobs.artifacts import ArtifactStore
from jobs.errors import ArtifactNotFoundError
from jobs.uploads import is_upload_id, made_at, upload_key

_SCHEME = "asset://"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asset:
    """An upload: its id, and when it will be gone."""

    id: str
    expires_at: datetime

    @property
    def uri(self) -> str:
        """What a request names it by."""
        return f"{_SCHEME}{self.id}"


class Assets:
    """Uploads in the artifact store. An id tells when it was made, so that nothing else need be kept.

    Args:
        artifacts: where they lie.
        keep_seconds: for how long.
    """

    def __init__(self, artifacts: ArtifactStore, keep_seconds: float) -> None:
        self._artifacts = artifacts
        self._keep = timedelta(seconds=keep_seconds)

    def new(self) -> Asset:
        """A name for an upload to come."""
        fresh = ULID()
        return Asset(id=f"asset_{fresh}".lower(), expires_at=fresh.datetime.astimezone(UTC) + self._keep)

    def put(self, asset: Asset, tenant: str, source: Path) -> None:
        """Store a file under its name."""
        self._artifacts.put(upload_key(tenant, asset.id), source)

    def presign(self, asset: Asset, tenant: str, size: int, expires_in: int) -> str | None:
        """A URL that takes the file by PUT without credentials, or None where the store has no such thing."""
        return self._artifacts.presign_put(upload_key(tenant, asset.id), size, expires_in)

    def open(self, uri: str, tenant: str) -> ArtifactStream | None:
        """The bytes of an upload, or None where this tenant has none of this name, or no longer."""
        asset_id = uri.removeprefix(_SCHEME)
        made = made_at(asset_id) if uri.startswith(_SCHEME) and is_upload_id(asset_id) else None
        if made is None or made + self._keep < datetime.now(UTC):
            return None
        try:
            return self._artifacts.read(upload_key(tenant, asset_id))
        except ArtifactNotFoundError:
            return None
