"""What only a local directory promises."""

import errno
import os
import threading
from pathlib import Path

import pytest

from jobs.artifacts_local import LocalArtifactStore
from jobs.errors import ArtifactStoreUnavailableError
from tests.contract.artifact_helpers import CONTENT, content, keys, written


def test_a_link_that_leads_out_of_the_directory_is_not_followed(tmp_path, video):
    store = LocalArtifactStore(tmp_path / "artifacts")
    store.put("job/1.mp4", video)
    (tmp_path / "artifacts" / "link").symlink_to(tmp_path)
    (tmp_path / "artifacts" / "job" / "2.mp4").symlink_to(video)
    for key in ("link/video.mp4", "link/new.mp4", "job/2.mp4"):
        with pytest.raises(ValueError, match="symbolic link"):
            store.put(key, video)
        with pytest.raises(ValueError, match="symbolic link"):
            store.read(key)
        with pytest.raises(ValueError, match="symbolic link"):
            store.delete(key)
    assert keys(store) == ["job/1.mp4"]
    assert video.read_bytes() == CONTENT


def test_a_directory_that_is_itself_a_link_is_followed(tmp_path, video):
    (tmp_path / "disk").mkdir()
    (tmp_path / "artifacts").symlink_to(tmp_path / "disk")
    store = LocalArtifactStore(tmp_path / "artifacts")
    store.put("job/1.mp4", video)
    assert (tmp_path / "disk" / "job" / "1.mp4").read_bytes() == CONTENT


def test_a_put_that_breaks_off_leaves_the_old_file_and_nothing_else(tmp_path, video, monkeypatch):
    store = LocalArtifactStore(tmp_path / "artifacts")
    store.put("job/1.mp4", video)

    def full_disk(reader, writer, _):
        writer.write(reader.read(9))
        assert keys(store) == ["job/1.mp4"]
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("shutil.copyfileobj", full_disk)
    with pytest.raises(ArtifactStoreUnavailableError, match=r"No space left.*DATA_DIR"):
        store.put("job/1.mp4", written(tmp_path, b"new"))
    assert content(store, "job/1.mp4") == CONTENT
    files = {path.name for path in (tmp_path / "artifacts").rglob("*") if path.is_file()}
    assert files == {"1.mp4", "lock"}


def test_the_folder_of_a_key_is_no_artifact_and_goes_with_its_last_file(tmp_path, video):
    store = LocalArtifactStore(tmp_path / "artifacts")
    store.put("job/a/1.mp4", video)
    store.put("job/2.mp4", video)
    store.delete("job")
    store.delete("job/2.mp4/x")
    store.delete("job/a/1.mp4")
    assert [path.name for path in (tmp_path / "artifacts" / "job").iterdir()] == ["2.mp4"]
    store.delete("job/2.mp4")
    store.put("x/y/z.mp4", video)
    store.delete("x/y/z.mp4")
    assert [path.name for path in (tmp_path / "artifacts").iterdir()] == [".incoming"]


def test_a_deletion_waits_with_the_folder_that_a_put_is_about_to_use(tmp_path, video, monkeypatch):
    store = LocalArtifactStore(tmp_path / "artifacts")
    store.put("job/1.mp4", video)
    deletion = threading.Thread(target=store.delete, args=("job/1.mp4",))
    rename = Path.replace

    def rename_late(written: Path, path: Path) -> Path:
        deletion.start()
        deletion.join(0.1)  # it gets as far as it can
        return rename(written, path)

    monkeypatch.setattr(Path, "replace", rename_late)
    store.put("job/2.mp4", video)
    deletion.join()
    assert keys(store) == ["job/2.mp4"]


def test_a_directory_that_cannot_be_made_is_unavailable(tmp_path, video):
    store = LocalArtifactStore(video / "artifacts")
    with pytest.raises(
        ArtifactStoreUnavailableError, match=r"video.mp4/artifacts cannot be used: Not a directory"
    ):
        store.ping()
    with pytest.raises(ArtifactStoreUnavailableError, match="DATA_DIR"):
        store.put("job/1.mp4", video)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_directory_that_may_not_be_written_is_unavailable(tmp_path, video):
    store = LocalArtifactStore(tmp_path)
    store.put("job/1.mp4", video)
    (tmp_path / ".incoming").chmod(0o500)
    with pytest.raises(ArtifactStoreUnavailableError, match="Permission denied"):
        store.ping()


def test_a_directory_has_no_urls(tmp_path):
    assert LocalArtifactStore(tmp_path).presign("job/1.mp4", 60) is None


def test_a_file_that_is_cut_while_it_is_read_is_no_shorter_file(tmp_path, video):
    store = LocalArtifactStore(tmp_path / "artifacts")
    store.put("job/1.mp4", video)
    stream = store.read("job/1.mp4")
    os.truncate(tmp_path / "artifacts" / "job" / "1.mp4", 9)
    with pytest.raises(ArtifactStoreUnavailableError, match="ended before its last byte"):
        list(stream)
