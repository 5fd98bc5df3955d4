"""A gateway whose disk is full: files are refused whole, and everything else goes on."""

import base64
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobs.state import JobFilter
from tests.integration.api.conftest import Gateway
from tests.integration.api.inputs import COMMON, IMAGE, SPEECH, keys, taking_inputs
from tests.media_files import picture, sound
from tests.small_disk import SMALL_DISK_BYTES, fill

RAW = {"content-type": "application/octet-stream"}
DATA_URL = f"data:image/png;base64,{base64.b64encode(picture()).decode()}"
LARGE = b"\x89PNG\r\n\x1a\n" + bytes(SMALL_DISK_BYTES)


@pytest.fixture
def full(redis_url, tmp_path, monkeypatch) -> Iterator[Gateway]:
    """One that is to keep more free than any disk has."""
    with taking_inputs(redis_url, tmp_path, monkeypatch, disk_reserve_gb=100_000) as gateway:
        yield gateway


@pytest.fixture
def cramped(redis_url, tmp_path, monkeypatch, small_disk) -> Iterator[Gateway]:
    """One with a real small disk for temporary files, which keeps nothing free."""
    monkeypatch.setattr(tempfile, "tempdir", str(small_disk))
    with taking_inputs(redis_url, tmp_path, monkeypatch, disk_reserve_gb=0) as gateway:
        yield gateway


def assert_refused(gateway: Gateway, url: str, **sent) -> None:
    """Refused with when to come again, and nothing is left of it."""
    answer = gateway.client.post(url, **sent)
    assert answer.status_code == 507, answer.text
    assert answer.json()["error_type"] == "disk_full"
    assert int(answer.headers["retry-after"]) > 0
    assert keys(gateway) == []
    assert gateway.store.count(JobFilter()) == 0


@pytest.mark.parametrize(
    ("url", "sent"),
    [
        ("/uploads", {"content": picture(), "headers": RAW}),
        ("/uploads", {"files": {"file": picture()}}),
        (IMAGE, {"data": COMMON, "files": {"image": picture()}}),
        (IMAGE, {"json": COMMON | {"image_path": DATA_URL}}),
        ("/v1/videos", {"data": {"prompt": "A cat"}, "files": {"input_reference": picture()}}),
    ],
)
def test_files_are_refused_however_they_are_sent(full, url, sent):
    assert_refused(full, url, **sent)


def test_jobs_without_files_are_taken_and_what_is_there_is_served(full):
    assert full.client.post("/generate/text-to-video", json=COMMON).status_code == 202
    assert full.client.post("/v1/videos", files={"prompt": (None, "A cat")}).is_success
    assert full.client.get("/videos").status_code == 200


@pytest.mark.parametrize(
    ("url", "sent"),
    [
        ("/uploads", {"content": LARGE, "headers": RAW}),
        ("/uploads", {"files": {"file": LARGE}}),
        (IMAGE, {"data": COMMON, "files": {"image": LARGE}}),
    ],
)
def test_a_disk_that_fills_while_a_file_comes_in_keeps_nothing_of_it(cramped, small_disk, url, sent):
    assert_refused(cramped, url, **sent)
    assert list(small_disk.iterdir()) == []


def test_an_input_that_cannot_be_written_anew_is_not_called_broken(
    redis_url, tmp_path, monkeypatch, small_disk
):
    """The file comes in, and its check finds the disk full: that is the service's fault, not the file's."""
    with fill(small_disk).open("r+b") as filler:
        filler.truncate(SMALL_DISK_BYTES - 1024**2)
    monkeypatch.setattr(tempfile, "tempdir", str(small_disk))
    files = {"image": picture(), "audio": sound(60, container="mp3")}
    with taking_inputs(redis_url, tmp_path, monkeypatch, disk_reserve_gb=0.0002) as gateway:
        assert_refused(gateway, SPEECH, data=COMMON, files=files)


def test_an_artifact_directory_that_is_full_keeps_nothing_and_says_when_to_come_again(
    redis_url, monkeypatch, small_disk: Path
):
    with taking_inputs(redis_url, small_disk, monkeypatch, disk_reserve_gb=0) as gateway:
        answer = gateway.client.post("/uploads", content=LARGE, headers=RAW)
        assert answer.status_code == 503
        assert int(answer.headers["retry-after"]) > 0
        assert keys(gateway) == []
        assert [path for path in small_disk.rglob("*") if path.is_file() and path.name != "lock"] == []
