"""Files sent ahead of their jobs: stored for a while, and named by later requests."""

import json
import re
import urllib.request
from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest

from api.inputs.assets import Assets
from jobs.uploads import upload_key
from tests.integration.api.conftest import Gateway
from tests.integration.api.inputs import COMMON, IMAGE, keys, refusal, taking_inputs
from tests.media_files import picture, sound, video
from tests.servers import S3Account

RAW = {"content-type": "application/octet-stream"}


@pytest.fixture
def gateway(redis_url, tmp_path, monkeypatch) -> Iterator[Gateway]:
    with taking_inputs(redis_url, tmp_path, monkeypatch, max_upload_bytes=1024 * 1024) as gateway:
        yield gateway


@pytest.fixture
def bucket_gateway(redis_url, tmp_path, monkeypatch, rclone_s3: S3Account) -> Iterator[Gateway]:
    """One that keeps its files in a real bucket."""
    store = rclone_s3.with_fresh_bucket().store()
    with taking_inputs(redis_url, tmp_path, monkeypatch, artifacts=store) as gateway:
        yield gateway


@pytest.mark.parametrize("sent", [{"files": {"file": picture()}}, {"content": picture(), "headers": RAW}])
def test_a_file_is_stored_and_named(gateway, sent):
    answer = gateway.client.post("/uploads", **sent)
    upload = answer.json()
    assert answer.status_code == 201
    assert re.fullmatch("asset_[0-9a-hjkmnp-tv-z]{26}", upload["id"])
    assert upload["asset"] == f"asset://{upload['id']}"
    assert (upload["kind"], upload["media_type"], upload["size"]) == ("image", "image/png", len(picture()))
    life = datetime.fromisoformat(upload["expires_at"]) - datetime.now().astimezone()
    assert timedelta(hours=23) < life <= timedelta(hours=24)
    assert keys(gateway) == [upload_key("default", upload["id"])]


@pytest.mark.parametrize(
    ("content", "kind"), [(video(2), "video"), (sound(0.1), "audio"), (b"PK\3\4", "archive")]
)
def test_the_bytes_tell_the_kind_whatever_is_declared(gateway, content, kind):
    answer = gateway.client.post("/uploads", content=content, headers={"content-type": "image/png"})
    assert answer.json()["kind"] == kind


@pytest.mark.parametrize(
    ("sent", "status", "field"),
    [
        ({"content": b"GIF89a", "headers": RAW}, 422, "file"),
        ({"content": b"", "headers": RAW}, 422, "file"),
        ({"files": {"image": picture()}}, 422, "image"),
        ({"files": {"file": (None, "text")}}, 422, "file"),
        ({"files": [("file", picture()), ("file", picture())]}, 422, "file"),
        ({"content": picture(), "headers": {"content-type": "text/plain"}}, 415, None),
        ({"content": picture()}, 415, None),
        ({"content": bytes(1024 * 1024 + 1), "headers": RAW}, 413, None),
        ({"content": picture(), "headers": RAW | {"content-encoding": "gzip"}}, 415, None),
    ],
)
def test_what_is_no_input_is_not_stored(gateway, sent, status, field):
    answer = gateway.client.post("/uploads", **sent)
    assert answer.status_code == status, answer.text
    assert answer.json()["error"]["param"] == field
    assert keys(gateway) == []


def test_a_compressed_body_is_to_be_sent_as_it_is(gateway):
    answer = gateway.client.post("/uploads", content=picture(), headers=RAW | {"content-encoding": "gzip"})
    assert (answer.status_code, answer.headers["accept-encoding"]) == (415, "identity")
    assert answer.json()["detail"] == "The body is encoded as gzip; send it as it is."


def test_an_upload_that_has_expired_is_not_found(gateway, monkeypatch):
    asset = gateway.client.post("/uploads", files={"file": picture()}).json()["asset"]
    monkeypatch.setattr(gateway.parts.intake.assets, "_keep", timedelta(seconds=-1))
    assert "expired" in refusal(gateway, IMAGE, field="image_path", json=COMMON | {"image_path": asset})


def test_an_upload_of_another_tenant_is_not_found(gateway, tmp_path):
    assets: Assets = gateway.parts.intake.assets
    asset = assets.new()
    file = tmp_path / "a.png"
    file.write_bytes(picture())
    assets.put(asset, "somebody-else", file)
    assert "no such" in refusal(gateway, IMAGE, field="image_path", json=COMMON | {"image_path": asset.uri})


def test_without_a_bucket_there_are_no_direct_uploads(gateway):
    answer = gateway.client.post("/uploads/presign", json={"size": 10})
    assert (answer.status_code, answer.json()["error_type"]) == (422, "presign_unavailable")


@pytest.mark.parametrize("body", [{}, {"size": 0}, {"size": "10"}, {"size": 2**41}, {"size": 10, "key": "a"}])
def test_a_direct_upload_of_what_is_not_allowed_is_refused(gateway, body):
    assert gateway.client.post("/uploads/presign", json=body).status_code == 422


def test_a_direct_upload_goes_into_the_bucket_and_into_a_job(bucket_gateway):
    content = picture()
    place = bucket_gateway.client.post("/uploads/presign", json={"size": len(content)}).json()
    body = COMMON | {"image_path": place["asset"]}
    assert "no such" in refusal(bucket_gateway, IMAGE, field="image_path", json=body)
    put = urllib.request.Request(place["url"], content, place["headers"], method=place["method"])
    with urllib.request.urlopen(put) as answer:
        assert answer.status == 200
    job = bucket_gateway.client.post(IMAGE, json=body)
    assert job.status_code == 202, job.text
    assert keys(bucket_gateway, job.json()["id"]) == [f"{job.json()['id']}/in/image.png"]
    bucket_gateway.client.post(f"/jobs/{job.json()['id']}/cancel").raise_for_status()
    assert keys(bucket_gateway, job.json()["id"]) == []


def test_a_direct_upload_of_another_length_is_refused_by_the_bucket(bucket_gateway):
    place = bucket_gateway.client.post("/uploads/presign", json={"size": 10}).json()
    put = urllib.request.Request(place["url"], bytes(11), method="PUT")
    with pytest.raises(urllib.error.HTTPError):
        urllib.request.urlopen(put)


def test_the_description_names_what_is_taken(gateway):
    described = json.loads(gateway.client.get("/openapi.json").content)
    content = described["paths"]["/generate/animation"]["post"]["requestBody"]["content"]
    assert set(content) == {"application/json", "multipart/form-data", "application/x-www-form-urlencoded"}
    form = described["components"]["schemas"]["AnimationForm"]["properties"]["src_root_path"]
    assert form["format"] == "binary"
