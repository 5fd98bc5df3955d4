"""Event streams over real connections: server-sent events and a WebSocket, through a real Redis."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import active_count
from typing import Any

import httpx
import pytest
from websockets import Origin
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect as open_socket

from api.feed import RedisFeed
from api.follow import Follow
from api.load import Load
from api.watch import Watch
from jobs.errors import StoreUnavailableError
from jobs.keys_memory import MemoryKeyStore
from jobs.previews import preview_key
from jobs.state import JobError, Progress
from jobs.store_redis import connect as connect_redis
from tests.integration.api.conftest import Gateway, parts_with
from tests.integration.api.keys import access_with, token
from tests.integration.api.live import Announcing, Stream, listening, streaming
from wan_models.catalog import CATALOG

Live = tuple[Gateway, str]


@pytest.fixture
def live(gateway: Gateway, redis_url: str, tmp_path) -> Iterator[Live]:
    """A gateway to act on jobs with, and the address of another one that streams."""
    parts = parts_with(gateway.store, tmp_path, feed=redis_url)
    with listening(parts) as server:
        yield gateway, address(server)


def address(server: Announcing) -> str:
    host, port = server.address[:2]
    return f"http://{host}:{port}"


def socket_to(url: str, job_id: str, query: str = ""):
    return open_socket(f"{url.replace('http', 'ws')}/ws/jobs/{job_id}{query}", open_timeout=60)


def test_a_stream_tells_what_happened_then_what_happens_and_ends_with_the_job(live):
    gateway, url = live
    job_id = gateway.submit()["id"]
    with streaming(f"{url}/jobs/{job_id}/events") as stream:
        assert stream.response.headers["content-type"].startswith("text/event-stream")
        queued = stream.next()
        assert (queued.id, queued.type, queued.data["status"]) == ("1", "queued", "queued")
        assert (queued.data["queue_position"], queued.data["progress"]) == (1, 0)
        job = gateway.claim(job_id)
        started = stream.next()
        assert (started.type, started.data["status"]) == ("in_progress", "in_progress")
        gateway.progress(job, step=10)
        progress = stream.next()
        steps = job.progress.steps
        assert (progress.type, progress.data["stage"], progress.data["step"]) == ("progress", "denoising", 10)
        assert (progress.data["steps"], progress.data["progress"]) == (steps, 1000 // steps)
        assert progress.data["eta_seconds"] is not None
        assert progress.data["job"] is None
        gateway.store.fail(job.lease, JobError("broken", "The model broke."))
        failed, *rest = stream
    assert rest == []
    assert (failed.type, failed.data["error"]["code"]) == ("failed", "broken")
    assert failed.data["job"] == gateway.job(job_id)


def test_the_picture_of_an_unfinished_video_is_told_of_once_and_can_be_got(live, tmp_path):
    gateway, url = live
    job_id = gateway.submit(preview=True)["id"]
    job = gateway.claim(job_id)
    picture = tmp_path / "picture.jpg"
    picture.write_bytes(b"a picture")
    gateway.parts.artifacts.put(preview_key(job_id, 2), picture)
    for step, preview in ((1, 0), (2, 2), (3, 2)):
        gateway.store.heartbeat(job.lease, Progress("denoising", step, 40, preview))
    with streaming(f"{url}/jobs/{job_id}/events", after="2") as stream:
        told = [stream.next().data["preview_url"] for _ in range(3)]
    assert told == [None, f"{url}/jobs/{job_id}/previews/2", None]
    answer = httpx.get(told[1])
    assert (answer.headers["content-type"], answer.content) == ("image/jpeg", b"a picture")
    assert gateway.job(job_id)["preview_url"].endswith(f"/jobs/{job_id}/previews/2")
    missing = gateway.client.get(f"/jobs/{job_id}/previews/3")
    assert (missing.status_code, missing.json()["error_type"]) == (404, "preview_not_found")


def test_the_job_in_the_last_event_has_the_address_of_its_video(live):
    gateway, url = live
    job_id = gateway.finished()
    with streaming(f"{url}/jobs/{job_id}/events") as stream:
        *_, completed = stream
    assert completed.data["progress"] == 100
    assert completed.data["job"]["video_url"] == f"{url}/videos/{job_id}.mp4"


def test_a_client_that_comes_back_hears_what_it_missed_and_nothing_twice(live):
    gateway, url = live
    job_id = gateway.submit()["id"]
    job = gateway.claim(job_id)
    with streaming(f"{url}/jobs/{job_id}/events") as stream:
        assert [stream.next().type for _ in range(2)] == ["queued", "in_progress"]
    for step in (1, 2):
        gateway.progress(job, step)
    with streaming(f"{url}/jobs/{job_id}/events", after="2") as stream:
        assert [(told.id, told.data["step"]) for told in (stream.next(), stream.next())] == [
            ("3", 1),
            ("4", 2),
        ]
        gateway.store.release(job.lease)
        released = stream.next()
        assert (released.id, released.type, released.data["step"]) == ("5", "queued", 0)
    gateway.store.cancel(job_id)
    with streaming(f"{url}/jobs/{job_id}/events", after="5") as stream:
        assert [told.type for told in stream] == ["cancelled"]


def test_a_browser_that_has_heard_the_end_is_told_not_to_come_back(live):
    gateway, url = live
    job_id = gateway.finished()
    answer = httpx.get(f"{url}/jobs/{job_id}/events", headers={"last-event-id": "3"})
    assert (answer.status_code, answer.content) == (204, b"")


@pytest.mark.parametrize("place", ["x", "-1", "1.5", "9" * 30])
@pytest.mark.parametrize("path", ["/jobs/{job_id}/events", "/events"])
def test_a_last_event_id_that_is_none_is_refused(gateway, path, place):
    url = path.format(job_id=gateway.finished())
    answer = gateway.client.get(url, headers={"last-event-id": place})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "Last-Event-ID")


def test_there_is_no_stream_of_an_unknown_job(gateway):
    for job_id in ("job_01arz3ndektsv4rrffq69g5fav", "nonsense"):
        assert gateway.client.get(f"/jobs/{job_id}/events").json()["error_type"] == "job_not_found"


def test_the_stream_of_a_job_that_is_removed_ends(live):
    gateway, url = live
    job_id = gateway.submit()["id"]
    with streaming(f"{url}/jobs/{job_id}/events") as stream:
        stream.next()
        gateway.store.cancel(job_id)
        gateway.store.remove(job_id)
        assert [told.type for told in stream] in (["cancelled"], [])


def test_one_stream_tells_of_all_jobs_of_a_tenant_and_can_be_resumed(live):
    gateway, url = live
    gateway.store.cancel(gateway.submit()["id"])  # told to nobody who comes later
    with streaming(f"{url}/events") as stream:
        first, second = gateway.submit()["id"], gateway.submit()["id"]
        assert [stream.next().data["job_id"] for _ in range(2)] == [first, second]
        job = gateway.claim(first)
        started = stream.next()
        assert (started.type, started.data["job_id"]) == ("in_progress", first)
        gateway.progress(job, step=5)
        progress = stream.next()
        assert (progress.id, progress.type, progress.data["step"]) == (None, "progress", 5)
    gateway.store.cancel(second)
    gateway.store.fail(job.lease, JobError("broken", "The model broke."))
    with streaming(f"{url}/events", after=started.id) as stream:
        told = [stream.next(), stream.next()]
    assert [(one.type, one.data["job_id"]) for one in told] == [("cancelled", second), ("failed", first)]
    assert [one.data["job"]["id"] for one in told] == [second, first]


def test_the_stream_of_a_tenant_goes_on_over_pages_and_leaves_removed_jobs_out(live):
    gateway, url = live
    start = gateway.store.history_end("default")
    jobs = [gateway.submit()["id"] for _ in range(120)]
    for job_id in jobs[:3]:
        gateway.store.cancel(job_id)
        gateway.store.remove(job_id)
    with streaming(f"{url}/events", after=start) as stream:
        assert [stream.next().data["job_id"] for _ in range(117)] == jobs[3:]


def test_a_silent_stream_sends_heartbeats(gateway, redis_url, tmp_path):
    job_id = gateway.submit()["id"]
    with serving_with(gateway, redis_url, tmp_path, heartbeat_seconds=0.05) as url:
        with streaming(f"{url}/jobs/{job_id}/events") as stream:
            assert [stream.next().type for _ in range(3)] == ["queued", "", ""]
            gateway.claim(job_id)
            assert next(told.type for told in stream if told.type) == "in_progress"
            assert stream.next().type == ""  # it waits again
        with streaming(f"{url}/events") as stream:
            assert stream.next().type == ""


def test_without_a_feed_a_stream_finds_events_with_its_heartbeats(gateway, tmp_path):
    job_id = gateway.submit()["id"]
    with (
        serving_with(gateway, None, tmp_path, heartbeat_seconds=0.05) as url,
        streaming(f"{url}/jobs/{job_id}/events") as stream,
    ):
        assert stream.next().type == "queued"
        gateway.store.cancel(job_id)
        assert "cancelled" in [told.type for told in stream]


def test_a_store_that_is_away_for_a_while_breaks_no_stream(gateway, tmp_path, monkeypatch):
    job_id, reads = gateway.submit()["id"], iter([StoreUnavailableError("Away.")])
    real = gateway.store.events

    def events(*args):
        for error in reads if follow_began else ():
            raise error
        return real(*args)

    follow_began: list[bool] = []
    monkeypatch.setattr(gateway.store, "events", events)
    with (
        serving_with(gateway, None, tmp_path, heartbeat_seconds=0.05) as url,
        streaming(f"{url}/jobs/{job_id}/events") as stream,
    ):
        assert stream.next().type == "queued"
        follow_began.append(True)
        gateway.store.cancel(job_id)
        assert [told.type for told in stream if told.type] == ["cancelled"]
    assert next(reads, None) is None


def test_a_gateway_that_stops_lets_its_streams_go(gateway, redis_url, tmp_path):
    job_id = gateway.submit()["id"]
    with ExitStack() as opened:
        with serving_with(gateway, redis_url, tmp_path) as url:
            stream = opened.enter_context(streaming(f"{url}/jobs/{job_id}/events"))
            everything = opened.enter_context(streaming(f"{url}/events"))
            socket = opened.enter_context(socket_to(url, job_id))
            assert stream.next().type == "queued"
            assert json.loads(socket.recv())["type"] == "queued"
        assert list(stream) == list(everything) == []
        with pytest.raises(ConnectionClosed) as closed:
            socket.recv()
    assert closed.value.rcvd
    assert closed.value.rcvd.code == 1012


def test_many_streams_share_one_process_without_a_thread_each(live, redis_url):
    gateway, url = live
    jobs = [gateway.submit()["id"] for _ in range(10)]
    before = active_count()
    with ExitStack() as opened, httpx.Client(timeout=60, limits=httpx.Limits(max_connections=200)) as client:
        streams = []
        for number in range(120):
            request = client.stream("GET", f"{url}/jobs/{jobs[number % 10]}/events")
            streams.append(Stream(opened.enter_context(request)))
        assert {stream.next().type for stream in streams} == {"queued"}
        assert httpx.get(f"{url}/health").status_code == 200  # nobody keeps others from being served
        for job_id in jobs:
            gateway.store.cancel(job_id)
        assert [[told.type for told in stream] for stream in streams] == [["cancelled"]] * 120
        assert active_count() - before <= 45  # the pool for blocking work has 40
    with connect_redis(redis_url) as redis:
        assert len(redis.client_list(_type="pubsub")) == 1  # for all the streams of a gateway


def test_a_client_that_hangs_up_is_forgotten(gateway, redis_url, tmp_path):
    job_id = gateway.submit()["id"]
    parts = parts_with(gateway.store, tmp_path, feed=redis_url)
    with listening(parts) as server:
        url = address(server)
        for _ in range(3):
            with streaming(f"{url}/jobs/{job_id}/events") as stream:
                stream.next()
            with socket_to(url, job_id) as socket:
                socket.recv()
            with streaming(f"{url}/events"):
                pass
    assert not parts.watch._listeners


def test_a_client_that_reads_slowly_costs_no_memory_and_loses_nothing_that_is_kept(live):
    gateway, url = live
    job_id = gateway.submit()["id"]
    with streaming(f"{url}/jobs/{job_id}/events") as stream:
        assert stream.next().type == "queued"
        job = gateway.claim(job_id)
        for step in range(1, 200):
            gateway.progress(job, step)
        gateway.store.release(job.lease)
        gateway.store.cancel(job_id)
        told = list(stream)
    assert told[0].type == "in_progress"
    assert [one.type for one in told if one.type != "progress"] == ["in_progress", "queued", "cancelled"]
    assert [int(one.id or 0) for one in told] == sorted(int(one.id or 0) for one in told)


class TestWebSocket:
    def test_tells_the_same_and_closes_with_the_job(self, live):
        gateway, url = live
        job_id = gateway.submit()["id"]
        with socket_to(url, job_id) as socket:
            assert json.loads(socket.recv())["type"] == "queued"
            socket.send("I say something")
            socket.send(b"and more")
            gateway.store.cancel(job_id)
            cancelled = json.loads(socket.recv())
            with pytest.raises(ConnectionClosed) as closed:
                socket.recv()
        assert cancelled["job"] == gateway.job(job_id)
        assert closed.value.rcvd
        assert closed.value.rcvd.code == 1000

    def test_goes_on_where_a_client_left_off(self, live):
        gateway, url = live
        job_id = gateway.finished()
        with socket_to(url, job_id, "?after=2") as socket:
            assert [json.loads(message)["id"] for message in socket] == ["3"]

    @pytest.mark.parametrize("job_id", ["job_01arz3ndektsv4rrffq69g5fav", "nonsense"])
    def test_of_an_unknown_job_is_denied_with_a_problem(self, live, job_id):
        _, url = live
        with pytest.raises(InvalidStatus) as denied:
            socket_to(url, job_id)
        answer = denied.value.response
        assert answer.status_code == 404
        assert json.loads(answer.body or b"")["error_type"] == "job_not_found"

    def test_of_a_page_from_elsewhere_is_denied(self, live):
        gateway, url = live
        path = f"{url.replace('http', 'ws')}/ws/jobs/{gateway.submit()['id']}"
        with pytest.raises(InvalidStatus) as denied:
            open_socket(path, origin=Origin("https://evil.example"))
        assert denied.value.response.status_code == 403
        with open_socket(path, origin=Origin(url)) as socket:
            assert json.loads(socket.recv())["type"] == "queued"


@contextmanager
def serving_with(
    gateway: Gateway, feed: str | None, videos: Path, heartbeat_seconds: float = 15, **changes: Any
) -> Iterator[str]:
    """Another gateway over the same store, with a pace of its own."""
    watch = Watch(gateway.store.get, RedisFeed(feed) if feed else None)
    load = Load(gateway.store, CATALOG, fresh_seconds=0)
    follow = Follow(gateway.store, watch, load, heartbeat_seconds)
    with listening(parts_with(gateway.store, videos, watch=watch, follow=follow, **changes)) as server:
        yield address(server)


class TestRevokedKey:
    """What was opened with a key ends with it."""

    @pytest.fixture
    def keyed(self, gateway, redis_url, tmp_path, monkeypatch) -> Iterator[tuple[str, MemoryKeyStore]]:
        monkeypatch.setattr("api.routes.events.ADMITTED_SECONDS", 0)
        keys = MemoryKeyStore()
        access = access_with(keys)
        with serving_with(gateway, redis_url, tmp_path, heartbeat_seconds=0.05, access=access) as url:
            yield url, keys

    @pytest.mark.parametrize("path", ["/events", "/jobs/{}/events"])
    def test_ends_a_stream(self, gateway, keyed, path):
        url, keys = keyed
        headers = {"authorization": f"Bearer {token(keys, 'default')}"}
        address = url + path.format(gateway.submit()["id"])
        with httpx.stream("GET", address, headers=headers, timeout=60) as response:
            stream = Stream(response)
            stream.next()
            keys.revoke(keys.all()[0].id, 1)
            assert len(list(stream)) < 100  # which comes back only if the stream ends
        assert httpx.get(address, headers=headers).status_code == 401

    def test_ends_a_socket_which_is_then_told_why(self, gateway, keyed):
        url, keys = keyed
        headers = {"Authorization": f"Bearer {token(keys, 'default')}"}
        address = f"{url.replace('http', 'ws')}/ws/jobs/{gateway.submit()['id']}"
        with open_socket(address, additional_headers=headers) as socket:
            socket.recv()
            keys.revoke(keys.all()[0].id, 1)
            with pytest.raises(ConnectionClosed) as closed:
                socket.recv(timeout=60)
        assert closed.value.rcvd
        assert closed.value.rcvd.code == 1012
        with pytest.raises(InvalidStatus) as denied:
            open_socket(address, additional_headers=headers)
        assert json.loads(denied.value.response.body or b"")["error_type"] == "invalid_api_key"

    def test_ends_nothing_while_the_keys_cannot_be_read(self, gateway, keyed, monkeypatch):
        url, keys = keyed
        headers = {"authorization": f"Bearer {token(keys, 'default')}"}
        with httpx.stream("GET", f"{url}/events", headers=headers, timeout=60) as response:
            stream = Stream(response)
            stream.next()

            def away(_: str) -> None:
                raise StoreUnavailableError("The job store does not answer.")

            monkeypatch.setattr(keys, "get", away)
            assert [stream.next().type for _ in range(3)] == ["", "", ""]
