"""What the tests of every artifact store put in, and how they look at what is there."""

from pathlib import Path

from jobs.artifacts import ArtifactStore

CONTENT = bytes(range(256)) * 2 + b"the end"


def written(tmp_path: Path, content: bytes) -> Path:
    path = tmp_path / "other.mp4"
    path.write_bytes(content)
    return path


def content(store: ArtifactStore, key: str, start: int = 0, end: int | None = None) -> bytes:
    return b"".join(store.read(key, start, end))


def keys(store: ArtifactStore, prefix: str = "") -> list[str]:
    return [artifact.key for artifact in store.find(prefix)]
