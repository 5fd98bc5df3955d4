"""What only a bucket promises, on real servers and on ones that misbehave."""

import random
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest

from jobs.artifacts_s3 import S3ArtifactStore
from jobs.errors import ArtifactNotFoundError, ArtifactStoreUnavailableError
from tests.contract.artifact_helpers import CONTENT, content, keys, written
from tests.servers import S3Account


@pytest.fixture
def bucket(rclone_s3: S3Account) -> S3ArtifactStore:
    """An empty bucket on the server that checks signatures."""
    return rclone_s3.with_fresh_bucket().store()


def test_a_signed_url_serves_the_artifact_to_a_plain_client(bucket, video):
    bucket.put("job/1.mp4", video)
    answer = httpx.get(bucket.presign("job/1.mp4", 60))
    assert answer.content == CONTENT
    assert answer.headers["Content-Type"] == "video/mp4"


def test_what_a_file_came_from_is_kept_with_it(bucket, video):
    bucket.put("job/1.mp4", video, {"job": "job_1", "request-id": "checkout:42"})
    headers = httpx.get(bucket.presign("job/1.mp4", 60)).headers
    assert (headers["x-amz-meta-job"], headers["x-amz-meta-request-id"]) == ("job_1", "checkout:42")


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


def test_an_endpoint_is_addressed_by_path_and_amazon_by_host_name():
    keys = {"region": "eu-central-1", "access_key": "k", "secret_key": "s"}
    own = S3ArtifactStore.connect("videos", endpoint="https://minio.example:9000", **keys)
    assert own.presign("job/1.mp4", 60).startswith("https://minio.example:9000/videos/job/1.mp4?")
    amazon = S3ArtifactStore.connect("videos", **keys)
    assert amazon.presign("job/1.mp4", 60).startswith(
        "https://videos.s3.eu-central-1.amazonaws.com/job/1.mp4?"
    )


def test_no_checksums_are_sent_or_asked_for_that_other_servers_choke_on(bucket, video):
    headers: set[str] = set()
    events = bucket._client.meta.events
    events.register("before-send.s3", lambda request, **_: headers.update(map(str.lower, request.headers)))
    bucket.put("job/1.mp4", video)
    content(bucket, "job/1.mp4", 3, 5)
    assert "authorization" in headers
    assert not {name for name in headers if "checksum" in name or "trailer" in name}


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


def test_a_server_that_misses_what_is_deleted_is_no_error():
    missing = b"<Error><Code>NoSuchKey</Code></Error>"
    with answering(HTTPStatus.NOT_FOUND, {"Content-Type": "application/xml"}, missing) as bucket:
        bucket.delete("job/1.mp4")
        with pytest.raises(ArtifactNotFoundError):
            bucket.read("job/1.mp4")


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


@pytest.mark.usefixtures("impatient")
def test_a_server_that_is_not_there_is_unavailable(rclone_s3, video):
    with closing(socket.create_server(("127.0.0.1", 0))) as unused:
        endpoint = f"http://127.0.0.1:{unused.getsockname()[1]}"
    said = complaints(replace(rclone_s3, endpoint=endpoint).store(), video)
    where = f"The bucket {rclone_s3.bucket} at {endpoint}"
    advice = "Check S3_ENDPOINT, and the network to it."
    assert said == {f"{where} cannot be reached (EndpointConnectionError). {advice}"}


def test_a_presigned_upload_takes_exactly_the_announced_bytes(bucket):
    url = bucket.presign_put("uploads/default/asset_1", len(CONTENT), 60)
    assert httpx.put(url, content=CONTENT[:-1]).is_error
    assert httpx.put(url, content=CONTENT + b"x").is_error
    assert keys(bucket) == []
    assert httpx.put(url, content=CONTENT).is_success
    assert content(bucket, "uploads/default/asset_1") == CONTENT
