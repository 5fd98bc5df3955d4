"""Downloading, listing and deleting videos."""

import pytest

from jobs.errors import ArtifactStoreUnavailableError, JobNotFoundError
from tests.integration.api.conftest import VIDEO, parts_with, serving

UNKNOWN = "job_01m841tz79b74c3p14bqd55sfm.mp4"


@pytest.fixture
def url(gateway) -> str:
    """The address of a finished video."""
    return f"/videos/{gateway.finished()}.mp4"


def test_a_video_is_served_as_a_file_to_play_in_place(gateway, url):
    answer = gateway.client.get(url)
    assert (answer.status_code, answer.content) == (200, VIDEO)
    assert answer.headers["content-type"] == "video/mp4"
    assert answer.headers["content-length"] == str(len(VIDEO))
    assert answer.headers["accept-ranges"] == "bytes"
    assert answer.headers["content-disposition"] == f'inline; filename="{url.removeprefix("/videos/")}"'


@pytest.mark.parametrize(
    ("asked", "part", "content_range"),
    [
        ("bytes=0-0", slice(0, 1), "0-0"),
        ("bytes=100-199", slice(100, 200), "100-199"),
        ("bytes=1000-", slice(1000, None), f"1000-{len(VIDEO) - 1}"),
        ("bytes=-10", slice(-10, None), f"{len(VIDEO) - 10}-{len(VIDEO) - 1}"),
    ],
)
def test_a_range_is_served_alone(gateway, url, asked, part, content_range):
    answer = gateway.client.get(url, headers={"range": asked})
    assert (answer.status_code, answer.content) == (206, VIDEO[part])
    assert answer.headers["content-range"] == f"bytes {content_range}/{len(VIDEO)}"
    assert answer.headers["content-length"] == str(len(VIDEO[part]))


@pytest.mark.parametrize("asked", ["bytes=0-1,4-5", "lines=1-2"])
def test_a_range_of_another_unit_or_several_get_the_whole_video(gateway, url, asked):
    answer = gateway.client.get(url, headers={"range": asked})
    assert (answer.status_code, answer.content) == (200, VIDEO)


@pytest.mark.parametrize("asked", ["bytes=5-1", "bytes=x", f"bytes={'9' * 5000}-"])
def test_a_malformed_range_is_refused(gateway, url, asked):
    answer = gateway.client.get(url, headers={"range": asked})
    assert answer.status_code == 416
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["errors"][0]["field"] == "Range"


def test_a_range_behind_the_end_is_refused_with_the_size(gateway, url):
    answer = gateway.client.get(url, headers={"range": f"bytes={len(VIDEO)}-"})
    assert (answer.status_code, answer.headers["content-range"]) == (416, f"bytes */{len(VIDEO)}")
    assert answer.json()["error_type"] == "range_not_satisfiable"


def test_head_tells_everything_but_the_bytes(gateway, url):
    whole, head = gateway.client.get(url), gateway.client.head(url)
    assert (head.status_code, head.content) == (200, b"")
    del head.headers["x-request-id"], whole.headers["x-request-id"]
    assert head.headers == whole.headers


def test_head_knows_no_ranges(gateway, url):
    answer = gateway.client.head(url, headers={"range": "bytes=0-1"})
    assert (answer.status_code, answer.headers["content-length"]) == (200, str(len(VIDEO)))


def test_a_browser_that_has_the_video_is_told_so(gateway, url):
    first = gateway.client.get(url)
    by_tag = gateway.client.get(url, headers={"if-none-match": first.headers["etag"]})
    by_date = gateway.client.get(url, headers={"if-modified-since": first.headers["last-modified"]})
    assert [(answer.status_code, answer.content) for answer in (by_tag, by_date)] == [(304, b"")] * 2
    assert by_tag.headers["etag"] == first.headers["etag"]


def test_a_download_goes_on_only_with_the_same_video(gateway, url):
    tag = gateway.client.get(url).headers["etag"]
    same = gateway.client.get(url, headers={"range": "bytes=9-", "if-range": tag})
    other = gateway.client.get(url, headers={"range": "bytes=9-", "if-range": '"other"'})
    assert (same.status_code, same.content) == (206, VIDEO[9:])
    assert (other.status_code, other.content) == (200, VIDEO)


def test_a_request_for_another_version_is_refused(gateway, url):
    assert gateway.client.get(url, headers={"if-match": '"other"'}).status_code == 412


def test_videos_differ_in_their_tags(gateway):
    tags = {
        gateway.client.head(f"/videos/{gateway.finished(video)}.mp4").headers["etag"]
        for video in (b"1", b"2")
    }
    assert len(tags) == 2


def test_a_video_that_is_not_there_yet_is_not_found_and_the_state_told(gateway):
    queued = gateway.submit()
    answer = gateway.client.get(queued["video_path"])
    assert (answer.status_code, answer.json()["error_type"]) == (404, "video_not_ready")
    assert "queued" in answer.json()["detail"]


@pytest.mark.parametrize(
    "name",
    [
        UNKNOWN,
        UNKNOWN.removesuffix(".mp4"),
        f"{UNKNOWN}.mp4",
        UNKNOWN.upper(),
        f"{UNKNOWN}%0a",
        "x.mp4",
        ".mp4",
        "..%2f..%2fetc%2fpasswd",
        "..%5c..%5cboot.ini",
        "%2e%2e%2fredis%2fserver.log",
        "job_01m841tz79b74c3p14bqd55sfm%00.mp4",
        "%ff%fe.mp4",
        "%f0%9f%90%88.mp4",
        "a" * 5000,
        "//etc/passwd",
    ],
)
def test_a_name_that_is_no_video_is_not_found(gateway, name):
    for method in ("GET", "HEAD", "DELETE"):
        answer = gateway.client.request(method, f"/videos/{name}")
        assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")


def test_a_video_whose_file_is_gone_is_not_found(gateway, url):
    job_id = url.removeprefix("/videos/").removesuffix(".mp4")
    gateway.parts.artifacts.delete(f"{job_id}/1.mp4")
    assert gateway.client.get(url).status_code == 404


def test_a_deleted_video_leaves_neither_file_nor_record_nor_a_second_deletion(gateway, url):
    job_id = url.removeprefix("/videos/").removesuffix(".mp4")
    assert gateway.client.delete(url).status_code == 204
    assert list(gateway.parts.artifacts.find()) == []
    with pytest.raises(JobNotFoundError):
        gateway.store.get(job_id)
    assert gateway.client.delete(url).status_code == 404
    assert gateway.client.get(url).status_code == 404


def test_what_lost_attempts_left_is_deleted_too_and_other_jobs_keep_theirs(gateway, url, tmp_path):
    job_id = url.removeprefix("/videos/").removesuffix(".mp4")
    other = gateway.finished()
    (tmp_path / "lost").write_bytes(b"half a video")
    gateway.parts.artifacts.put(f"{job_id}/0.mp4", tmp_path / "lost")
    gateway.client.delete(url)
    assert [artifact.key for artifact in gateway.parts.artifacts.find()] == [f"{other}/1.mp4"]


def test_what_belongs_to_an_active_job_cannot_be_deleted(gateway):
    job = gateway.submit()
    answer = gateway.client.delete(job["video_path"])
    assert (answer.status_code, answer.json()["error_type"]) == (409, "job_active")
    assert f"/jobs/{job['id']}/cancel" in answer.json()["detail"]
    assert gateway.job(job["id"])["status"] == "queued"


def test_a_cancelled_job_can_be_deleted(gateway):
    job = gateway.submit()
    gateway.store.cancel(job["id"])
    assert gateway.client.delete(job["video_path"]).status_code == 204


def test_finished_videos_are_listed_newest_first_page_by_page(gateway):
    ids = [gateway.finished() for _ in range(3)]
    gateway.submit()
    first = gateway.client.get("/videos", params={"limit": 2}).json()
    second = gateway.client.get("/videos", params={"limit": 2, "before": first["next"]}).json()
    assert [[video["job_id"] for video in page["videos"]] for page in (first, second)] == [
        ids[:0:-1],
        ids[:1],
    ]
    assert second["next"] is None


def test_a_listed_video_tells_what_it_is(gateway):
    job_id = gateway.finished()
    (video,) = gateway.client.get("/videos").json()["videos"]
    assert (video["filename"], video["job_id"], video["task"]) == (f"{job_id}.mp4", job_id, "t2v-A14B")
    assert (video["width"], video["height"], video["frames"], video["fps"]) == (128, 64, 17, 16)
    assert video["size"] == len(VIDEO)
    assert gateway.client.get(video["video_url"]).headers["etag"] == f'"{video["sha256"]}"'


@pytest.mark.parametrize("query", ["limit=0", "status=queued", "before=x"])
def test_a_bad_query_for_videos_is_refused(gateway, query):
    assert gateway.client.get(f"/videos?{query}").status_code == 422


class AwayArtifacts:
    """An artifact store that nobody can reach."""

    def __getattr__(self, name: str):
        def away(*_: object, **__: object) -> None:
            raise ArtifactStoreUnavailableError("The artifact store cannot be reached.")

        return away


def test_an_artifact_store_that_is_away_is_said_to_be_so(gateway, url, tmp_path):
    parts = parts_with(gateway.store, tmp_path, artifacts=AwayArtifacts())
    with serving(parts, tmp_path) as away:
        for answer in (away.client.get(url), away.client.delete(url)):
            assert (answer.status_code, answer.json()["error_type"]) == (503, "artifacts_unavailable")
            assert answer.headers["retry-after"] == "5"
        assert away.client.head(url).status_code == 200  # the record tells all that a HEAD needs
        health = away.client.get("/health")
        assert (health.status_code, health.json()["status"]) == (200, "degraded")
        assert health.json()["artifacts"] == "unavailable"
    assert gateway.client.get(url).status_code == 200  # a deletion that failed deletes nothing by half
