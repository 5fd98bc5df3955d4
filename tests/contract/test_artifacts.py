"""One suite for every ArtifactStore, and what only a bucket or only a directory promises."""

import errno
import os
import random
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from jobs.artifact_stream import CHUNK_BYTES
from jobs.artifacts import Artifact, ArtifactStore
from jobs.artifacts_local import LocalArtifactStore
from jobs.artifacts_s3 import S3ArtifactStore
from jobs.errors import ArtifactNotFoundError, ArtifactStoreUnavailableError
from tests.servers import S3Account

CONTENT = bytes(range(256)) * 2 + b"the end"
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


@pytest.fixture
def video(tmp_path: Path) -> Path:
    path = tmp_path / "video.mp4"
    path.write_bytes(CONTENT)
    return path


def written(tmp_path: Path, content: bytes) -> Path:
    path = tmp_path / "other.mp4"
    path.write_bytes(content)
    return path


def content(store: ArtifactStore, key: str, start: int = 0, end: int | None = None) -> bytes:
    return b"".join(store.read(key, start, end))


def keys(store: ArtifactStore, prefix: str = "") -> list[str]:
    return [artifact.key for artifact in store.find(prefix)]


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


def test_a_store_that_answers_can_be_pinged(store):
    store.ping()


def test_the_suffix_of_a_key_tells_the_media_type():
    assert Artifact("job/1.mp4", 1).content_type == "video/mp4"
    assert Artifact("job/still.png", 1).content_type == "image/png"
    assert Artifact("job/1", 1).content_type == "application/octet-stream"


# Only a directory


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
    assert [path.name for path in (tmp_path / "artifacts").rglob("*") if path.is_file()] == ["1.mp4"]


def test_the_folder_of_a_key_is_no_artifact_and_goes_with_its_last_file(tmp_path, video):
    store = LocalArtifactStore(tmp_path / "artifacts")
    store.put("job/a/1.mp4", video)
    store.put("job/2.mp4", video)
    store.delete("job")
    store.delete("job/2.mp4/x")
    store.delete("job/a/1.mp4")
    assert [path.name for path in (tmp_path / "artifacts" / "job").iterdir()] == ["2.mp4"]
    store.delete("job/2.mp4")
    assert not (tmp_path / "artifacts" / "job").exists()


def test_a_folder_that_a_deletion_takes_away_is_made_again(tmp_path, video):
    store = LocalArtifactStore(tmp_path / "artifacts")

    def come_and_go(name: str) -> None:
        for _ in range(50):
            store.put(f"job/{name}.mp4", video)
            store.delete(f"job/{name}.mp4")

    with ThreadPoolExecutor(2) as threads:
        list(threads.map(come_and_go, ["1", "2"]))
    assert keys(store) == []


def test_a_directory_that_cannot_be_made_is_unavailable(tmp_path, video):
    store = LocalArtifactStore(video / "artifacts")
    with pytest.raises(
        ArtifactStoreUnavailableError, match=r"video.mp4/artifacts cannot be used: Not a directory"
    ):
        store.ping()
    with pytest.raises(ArtifactStoreUnavailableError, match="DATA_DIR"):
        store.put("job/1.mp4", video)


def test_a_directory_has_no_urls(tmp_path):
    assert LocalArtifactStore(tmp_path).presign("job/1.mp4", 60) is None


# Only a bucket


@pytest.fixture
def bucket(rclone_s3: S3Account) -> S3ArtifactStore:
    """An empty bucket on the server that checks signatures."""
    return rclone_s3.with_fresh_bucket().store()


def test_a_signed_url_serves_the_artifact_to_a_plain_client(bucket, video):
    bucket.put("job/1.mp4", video)
    answer = httpx.get(bucket.presign("job/1.mp4", 60))
    assert answer.content == CONTENT
    assert answer.headers["Content-Type"] == "video/mp4"


def test_a_signed_url_that_was_changed_is_refused(bucket, video, tmp_path):
    bucket.put("job/1.mp4", video)
    bucket.put("job/2.mp4", written(tmp_path, b"secret"))
    url = bucket.presign("job/1.mp4", 60)
    assert httpx.get(url.replace("job/1.mp4", "job/2.mp4")).status_code == HTTPStatus.FORBIDDEN
    assert httpx.get(url.replace("Expires=60", "Expires=600")).status_code == HTTPStatus.FORBIDDEN
    assert httpx.get(url.partition("?")[0]).is_client_error
    assert httpx.get(url).is_success


def test_a_signed_url_is_refused_after_its_time(bucket, video, monkeypatch):
    bucket.put("job/1.mp4", video)
    an_hour_ago = datetime.now(UTC) - timedelta(hours=1)
    monkeypatch.setattr("botocore.auth.get_current_datetime", lambda: an_hour_ago)
    refused = httpx.get(bucket.presign("job/1.mp4", 3500))
    assert refused.is_client_error
    assert "AccessDenied" in refused.text
    assert httpx.get(bucket.presign("job/1.mp4", 3700)).is_success


@pytest.mark.parametrize("seconds", [0, -1, 604801])
def test_a_url_is_signed_for_a_week_at_most(bucket, seconds):
    with pytest.raises(ValueError, match="1 to 604800 seconds"):
        bucket.presign("job/1.mp4", seconds)


def test_a_file_of_many_parts_comes_back_whole(bucket, tmp_path):
    large = random.Random(1).randbytes(20 * 1024 * 1024 + 3)
    parts = []
    events = bucket._client.meta.events
    events.register(
        "before-parameter-build.s3.UploadPart", lambda params, **_: parts.append(params["PartNumber"])
    )
    bucket.put("job/1.mp4", written(tmp_path, large))
    assert sorted(parts) == [1, 2, 3]
    assert bucket.stat("job/1.mp4").size == len(large)
    assert content(bucket, "job/1.mp4") == large
    assert content(bucket, "job/1.mp4", 9_000_000, 9_999_999) == large[9_000_000:10_000_000]


def test_keys_below_a_prefix_are_a_store_of_their_own(bucket, video):
    below = S3ArtifactStore(bucket._client, bucket._bucket, prefix="wan/serve")
    below.put("job/1.mp4", video)
    bucket.put("wan/server/1.mp4", video)
    assert keys(below) == ["job/1.mp4"]
    assert keys(bucket) == ["wan/serve/job/1.mp4", "wan/server/1.mp4"]
    assert httpx.get(below.presign("job/1.mp4", 60)).content == CONTENT


def test_objects_of_others_under_names_that_are_no_keys_are_not_found(moto_s3, video):
    bucket = moto_s3.with_fresh_bucket().store()
    for name in ("folder/", ".hidden", "a//b"):
        bucket._client.put_object(Bucket=bucket._bucket, Key=name, Body=b"")
    bucket.put("a/1.mp4", video)
    assert keys(bucket) == ["a/1.mp4"]


def test_artifacts_of_all_pages_of_a_listing_are_found(moto_s3, video):
    bucket = moto_s3.with_fresh_bucket().store()
    names = [f"job/{number}.mp4" for number in range(5)]
    for name in names:
        bucket.put(name, video)
    pages = []
    events = bucket._client.meta.events
    events.register(
        "before-parameter-build.s3.ListObjectsV2", lambda params, **_: pages.append(params.update(MaxKeys=2))
    )
    assert keys(bucket) == names
    assert len(pages) == 3


def failing(bucket: S3ArtifactStore) -> list[Callable[[], object]]:
    """Every request that a store makes, but uploads."""
    return [
        bucket.ping,
        lambda: bucket.stat("job/1.mp4"),
        lambda: bucket.read("job/1.mp4"),
        lambda: list(bucket.find()),
        lambda: bucket.delete("job/1.mp4"),
    ]


def complaints(bucket: S3ArtifactStore, video: Path) -> set[str]:
    """What a store that is out of order says to every request."""
    said = set()
    for request in (*failing(bucket), lambda: bucket.put("job/1.mp4", video)):
        with pytest.raises(ArtifactStoreUnavailableError) as caught:
            request()
        said.add(str(caught.value))
    return said


def test_a_wrong_secret_is_refused_with_advice_and_without_the_secret(rclone_s3, bucket, video):
    bucket.put("job/1.mp4", video)
    wrong = replace(rclone_s3, bucket=bucket._bucket, secret_key="not-the-secret")
    said = complaints(wrong.store(), video)
    assert all("S3_SECRET_KEY" in sentence and "403" in sentence for sentence in said)
    assert not any("not-the-secret" in sentence or rclone_s3.access_key in sentence for sentence in said)
    assert content(bucket, "job/1.mp4") == CONTENT
    assert httpx.get(wrong.store().presign("job/1.mp4", 60)).status_code == HTTPStatus.FORBIDDEN


def test_a_bucket_that_does_not_exist_is_no_missing_artifact(rclone_s3, video):
    said = complaints(replace(rclone_s3, bucket="no-such-bucket").store(), video)
    assert all("no-such-bucket" in sentence and "S3_BUCKET" in sentence for sentence in said)


@contextmanager
def answering(status: HTTPStatus, headers: dict[str, str], body: bytes) -> Iterator[S3ArtifactStore]:
    """A bucket on a web server that gives the same answer to every request."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"  # answers uploads that expect "100 Continue"

        def answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response(status)
            for name, value in ({"Content-Length": str(len(body))} | headers).items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        do_HEAD = do_GET = do_PUT = do_DELETE = answer  # noqa: N815 - the names http.server looks for

        def log_message(self, *_: object) -> None:
            """Keep quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield S3Account(
                endpoint=f"http://127.0.0.1:{server.server_port}",
                bucket="videos",
                access_key="k",
                secret_key="s",
            ).store()
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def impatient(monkeypatch) -> None:
    """Retry at once."""
    monkeypatch.setattr("botocore.endpoint.time.sleep", lambda _: None)


@pytest.mark.usefixtures("impatient")
def test_a_server_in_trouble_is_unavailable(video):
    with answering(HTTPStatus.SERVICE_UNAVAILABLE, {}, b"") as bucket:
        said = complaints(bucket, video)
    assert all("503" in sentence and "Try again shortly" in sentence for sentence in said)


@pytest.mark.parametrize(("start", "end"), [(0, 9), (5, None), (5, 900), (518, 518), (600, None)])
def test_a_server_that_ignores_ranges_is_read_right(start, end):
    with answering(HTTPStatus.OK, {}, CONTENT) as bucket:
        expected = CONTENT[start:] if end is None else CONTENT[start : end + 1]
        assert content(bucket, "job/1.mp4", start, end) == expected


def test_a_server_that_gives_more_than_the_range_is_read_right():
    part = {"Content-Range": f"bytes 100-199/{len(CONTENT)}"}
    with answering(HTTPStatus.PARTIAL_CONTENT, part, CONTENT[100:200]) as bucket:
        assert content(bucket, "job/1.mp4", 110, 120) == CONTENT[110:121]
        assert content(bucket, "job/1.mp4", 110, 900) == CONTENT[110:200]
        with pytest.raises(ArtifactStoreUnavailableError, match="from 100 where 99 was asked for"):
            bucket.read("job/1.mp4", 99)


def test_a_file_that_breaks_off_is_no_shorter_file():
    with answering(HTTPStatus.OK, {"Content-Length": "600", "Connection": "close"}, CONTENT) as bucket:
        stream = bucket.read("job/1.mp4")
        with pytest.raises(ArtifactStoreUnavailableError):
            list(stream)


def test_a_file_that_is_cut_while_it_is_read_is_no_shorter_file(tmp_path, video):
    store = LocalArtifactStore(tmp_path / "artifacts")
    store.put("job/1.mp4", video)
    stream = store.read("job/1.mp4")
    os.truncate(tmp_path / "artifacts" / "job" / "1.mp4", 9)
    with pytest.raises(ArtifactStoreUnavailableError, match="ended before its last byte"):
        list(stream)


@pytest.mark.usefixtures("impatient")
def test_a_server_that_is_not_there_is_unavailable(rclone_s3, video):
    with closing(socket.create_server(("127.0.0.1", 0))) as unused:
        endpoint = f"http://127.0.0.1:{unused.getsockname()[1]}"
    said = complaints(replace(rclone_s3, endpoint=endpoint).store(), video)
    where = f"The bucket {rclone_s3.bucket} at {endpoint}"
    advice = "Check S3_ENDPOINT, and the network to it."
    assert said == {f"{where} cannot be reached (EndpointConnectionError). {advice}"}
