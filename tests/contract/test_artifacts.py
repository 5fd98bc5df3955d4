"""One suite for every ArtifactStore: what the port promises, wherever the files lie."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from uuid import uuid4

import pytest

from jobs.artifact_stream import CHUNK_BYTES
from jobs.artifacts import Artifact, ArtifactStore
from jobs.artifacts_local import LocalArtifactStore
from jobs.artifacts_s3 import S3ArtifactStore
from jobs.errors import ArtifactNotFoundError
from tests.contract.artifact_helpers import CONTENT, content, keys, written

BAD_KEYS = (
    "", "/", "/etc/passwd", "..", "../a.mp4", "a/../b.mp4", "a/./b.mp4", "a//b.mp4", "a/", ".hidden",
    ".incoming/x", "a\\b.mp4", "a\0b.mp4", "a\nb.mp4", "\ud800.mp4", "x" * 256, "x/" * 512 + "x",
)  # fmt: skip


@pytest.fixture(scope="session")
def buckets(request) -> Callable[[str], S3ArtifactStore]:
    """One client a server, for making one takes a while."""
    return cache(lambda server: request.getfixturevalue(f"{server}_s3").store())


@pytest.fixture(params=["local", "rclone", "moto"])
def store(request, tmp_path) -> ArtifactStore:
    if request.param == "local":
        return LocalArtifactStore(tmp_path / "artifacts")
    bucket = request.getfixturevalue("buckets")(request.param)
    return S3ArtifactStore(bucket._client, bucket._bucket, prefix=f"tests/{uuid4().hex}")


def open_files() -> int:
    return len(list(Path("/dev/fd").iterdir()))


def test_what_was_put_can_be_described_and_read_back(store, video):
    expected = Artifact("job/1.mp4", len(CONTENT))
    assert store.put("job/1.mp4", video) == expected
    assert store.stat("job/1.mp4") == expected
    assert content(store, "job/1.mp4") == CONTENT
    assert video.read_bytes() == CONTENT


def test_an_empty_file_is_an_artifact_too(store, tmp_path):
    store.put("job/1.mp4", written(tmp_path, b""))
    assert store.stat("job/1.mp4").size == 0
    assert content(store, "job/1.mp4") == b""
    assert content(store, "job/1.mp4", 0, 9) == b""


def test_a_second_put_replaces_the_first(store, video, tmp_path):
    store.put("job/1.mp4", video)
    store.put("job/1.mp4", written(tmp_path, b"second"))
    assert content(store, "job/1.mp4") == b"second"
    assert list(store.find()) == [Artifact("job/1.mp4", 6)]


def test_putting_a_file_that_is_not_there_stores_nothing(store, tmp_path):
    with pytest.raises(FileNotFoundError):
        store.put("job/1.mp4", tmp_path / "missing.mp4")
    assert keys(store) == []


@pytest.mark.parametrize("key", ["a.mp4", "job/1.mp4", "a b/ü+%20&=?#.mp4", "a/b/c/d.mp4", "x" * 255])
def test_any_printable_name_is_a_key(store, video, key):
    store.put(key, video)
    assert content(store, key) == CONTENT
    assert keys(store) == [key]


@pytest.mark.parametrize("key", BAD_KEYS)
def test_a_key_that_some_store_could_not_hold_is_refused_by_all(store, video, key):
    with pytest.raises(ValueError, match="no artifact key"):
        store.put(key, video)
    with pytest.raises(ValueError, match="no artifact key"):
        store.stat(key)
    with pytest.raises(ValueError, match="no artifact key"):
        store.read(key)
    with pytest.raises(ValueError, match="no artifact key"):
        store.presign(key, 60)
    with pytest.raises(ValueError, match="no artifact key"):
        store.delete(key)
    assert keys(store) == []


@pytest.mark.parametrize(
    ("start", "end"),
    [(0, 0), (0, 9), (5, 5), (100, 299), (len(CONTENT) - 1, None), (7, None), (0, len(CONTENT) - 1)],
)
def test_a_range_holds_its_last_byte(store, video, start, end):
    store.put("job/1.mp4", video)
    last = len(CONTENT) - 1 if end is None else end
    assert content(store, "job/1.mp4", start, end) == CONTENT[start : last + 1]


@pytest.mark.parametrize("end", [None, len(CONTENT) * 2])
def test_a_range_stops_where_the_file_does(store, video, end):
    store.put("job/1.mp4", video)
    assert content(store, "job/1.mp4", 500, len(CONTENT) * 3) == CONTENT[500:]
    assert content(store, "job/1.mp4", len(CONTENT), end) == b""


@pytest.mark.parametrize(("start", "end"), [(-1, None), (-5, -1), (4, 3)])
def test_a_range_that_no_file_has_is_refused(store, video, start, end):
    store.put("job/1.mp4", video)
    with pytest.raises(ValueError, match="no range"):
        store.read("job/1.mp4", start, end)


def test_a_large_file_comes_in_chunks(store, tmp_path):
    large = os.urandom(3 * CHUNK_BYTES + 17)
    store.put("job/1.mp4", written(tmp_path, large))
    chunks = list(store.read("job/1.mp4", 5))
    assert b"".join(chunks) == large[5:]
    assert max(map(len, chunks)) <= CHUNK_BYTES


def test_reading_or_describing_what_is_not_there_is_refused_by_the_call_itself(store, video):
    store.put("job/1.mp4", video)
    for key in ("job/2.mp4", "job", "job/1.mp4/more.mp4"):
        with pytest.raises(ArtifactNotFoundError):
            store.stat(key)
        with pytest.raises(ArtifactNotFoundError):
            store.read(key)
        with pytest.raises(ArtifactNotFoundError):
            store.read(key, 3, 5)


@pytest.mark.parametrize("chunks_read", [0, 1])
def test_closing_a_stream_early_lets_go_of_its_file_or_connection(store, tmp_path, chunks_read):
    store.put("job/1.mp4", written(tmp_path, os.urandom(40 * CHUNK_BYTES)))
    before = open_files()
    streams = [store.read("job/1.mp4") for _ in range(5)]
    for stream in streams:
        for _ in range(chunks_read):
            next(stream)
    assert open_files() >= before + 4  # the client kept one connection of the upload
    for stream in streams:
        stream.close()
    assert open_files() <= before
    assert list(streams[0]) == []


def test_an_exhausted_stream_lets_go_of_its_file_and_keeps_its_connection_for_the_next(store, video):
    store.put("job/1.mp4", video)
    content(store, "job/1.mp4")
    before = open_files()
    for _ in range(5):
        content(store, "job/1.mp4", 3, 50)
    assert open_files() == before


def test_a_stream_is_a_context_that_closes_it(store, video):
    store.put("job/1.mp4", video)
    with store.read("job/1.mp4") as stream:
        pass
    assert list(stream) == []


def test_artifacts_are_found_by_prefix_in_key_order(store, video):
    names = ["b/1.mp4", "a/2.mp4", "a/10.mp4", "a.mp4", "a-b.mp4", "ab/1.mp4", "a/1/x.mp4"]
    for name in names:
        store.put(name, video)
    assert keys(store) == sorted(names)
    assert keys(store, "a/") == ["a/1/x.mp4", "a/10.mp4", "a/2.mp4"]
    assert keys(store, "a/1") == ["a/1/x.mp4", "a/10.mp4"]
    assert keys(store, "a") == sorted(name for name in names if name.startswith("a"))
    assert keys(store, "nothing/here") == []
    assert {artifact.size for artifact in store.find()} == {len(CONTENT)}


@pytest.mark.parametrize("prefix", ["/", "../", "a/../", "a//", ".inc", "a\\"])
def test_a_prefix_that_no_key_has_is_refused(store, prefix):
    with pytest.raises(ValueError, match="no artifact key"):
        list(store.find(prefix))


def test_a_deleted_artifact_is_gone_and_deleting_it_again_is_no_error(store, video):
    store.put("job/1.mp4", video)
    store.put("job/2.mp4", video)
    for key in ("job/1.mp4", "job/1.mp4", "other/1.mp4"):
        store.delete(key)
    assert keys(store) == ["job/2.mp4"]
    with pytest.raises(ArtifactNotFoundError):
        store.stat("job/1.mp4")


def test_a_reader_goes_on_with_the_file_it_opened_while_another_replaces_it(store, video, tmp_path):
    store.put("job/1.mp4", video)
    stream = store.read("job/1.mp4")
    store.put("job/1.mp4", written(tmp_path, b"x" * len(CONTENT)))
    assert b"".join(stream) == CONTENT


def test_many_threads_share_a_store(store, video):
    def round_trip(number: int) -> bytes:
        store.put(f"{number}/1.mp4", video)
        return content(store, f"{number}/1.mp4", number)

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(round_trip, range(24))) == [CONTENT[number:] for number in range(24)]


def test_a_store_that_answers_can_be_pinged_which_leaves_nothing_in_it(store):
    store.ping()
    assert list(store.find()) == []


def test_the_suffix_of_a_key_tells_the_media_type():
    assert Artifact("job/1.mp4", 1).content_type == "video/mp4"
    assert Artifact("job/still.png", 1).content_type == "image/png"
    assert Artifact("job/1", 1).content_type == "application/octet-stream"
