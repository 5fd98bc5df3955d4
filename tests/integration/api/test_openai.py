"""OpenAI's dialect on the wire: what the clients of ``tests/e2e/test_openai.py`` do not ask for."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from threading import Event

import httpx
import openai
import pytest

from api.cached import Cached
from jobs.keys import Scope
from jobs.keys_memory import MemoryKeyStore
from tests.integration.api.conftest import VIDEO, Gateway, parts_with, serving
from tests.integration.api.keys import acting, keyed, token
from tests.integration.api.live import listening

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # the SDK's, about its own videos


@pytest.fixture
def sdk(gateway: Gateway, tmp_path: Path) -> Iterator[openai.OpenAI]:
    with listening(parts_with(gateway.store, tmp_path)) as server:
        url = f"http://127.0.0.1:{server.address[1]}/v1"
        with openai.OpenAI(base_url=url, api_key="EMPTY", max_retries=0) as client:
            yield client


def test_a_model_is_told_as_the_list_tells_it(sdk):
    (listed,) = sdk.models.list()
    for name in ("t2v-A14B", "T2V-a14b", "Wan-AI/Wan2.2-T2V-A14B", "Wan-AI/Wan2.2-T2V-A14B-Diffusers"):
        assert sdk.models.retrieve(name) == listed
    assert (listed.id, listed.object) == ("t2v-A14B", "model")


@pytest.mark.parametrize("name", ["i2v-A14B", "sora-2", "x" * 500, "a/../b"])
def test_a_model_that_is_not_installed_is_not_found(sdk, name):
    with pytest.raises(openai.NotFoundError, match="There is no model") as refused:
        sdk.models.retrieve(name)
    assert refused.value.code == "model_not_found"


def test_an_admin_lists_the_videos_of_one_tenant(gateway):
    keys = MemoryKeyStore()
    with keyed(gateway, keys) as client:
        owner, other = (acting(client, token(keys, tenant)) for tenant in ("acme", "rival"))
        admin = acting(client, token(keys, "operators", Scope.ADMIN))
        mine = [
            owner.post("/v1/videos", json={"prompt": "a cat", "size": "128x64"}).json()["id"] for _ in "ab"
        ]
        theirs = other.post("/v1/videos", json={"prompt": "a dog", "size": "128x64"}).json()["id"]

        def listed(client, query):
            page = client.get(f"/v1/videos?{query}")
            return [video["id"] for video in page.raise_for_status().json()["data"]]

        assert listed(admin, "tenant=acme&order=asc") == mine
        assert listed(admin, f"tenant=acme&order=asc&after={mine[0]}") == mine[1:]
        assert listed(admin, "tenant=rival") == [theirs]
        assert listed(admin, "order=asc") == [*mine, theirs]
        assert listed(owner, "tenant=acme&order=asc") == mine
        assert other.get("/v1/videos?tenant=acme").status_code == 403
        assert other.get("/v1/videos?tenant=%2e%2e").status_code == 422


def test_the_url_of_a_finished_video_is_whole_so_that_benchmarks_can_fetch_it(gateway):
    job_id = gateway.submit()["id"]
    assert gateway.client.get(f"/v1/videos/{job_id}").json()["url"] is None
    gateway.finish(job_id)
    told = gateway.client.get(f"/v1/videos/{job_id}").json()
    assert told["url"] == f"http://testserver/videos/{job_id}.mp4"
    assert gateway.client.get(told["url"]).content == VIDEO
    assert gateway.client.get("/v1/videos").json()["data"] == [told]


def test_what_benchmarks_compute_with_is_a_number_at_any_time(gateway):
    job_id = gateway.submit()["id"]
    queued = gateway.client.get(f"/v1/videos/{job_id}").json()
    assert (queued["stage_durations"], queued["peak_memory_mb"]) == ({}, 0)
    gateway.finish(job_id)
    done = gateway.client.get(f"/v1/videos/{job_id}").json()
    assert (done["stage_durations"], done["peak_memory_mb"]) == ({"denoise": 1.5}, 0)


def test_what_the_sdk_has_and_no_model_can_do_is_said_to_be_not_offered(sdk):
    file = ("a.mp4", b"a video", "video/mp4")
    asked = [
        lambda: sdk.videos.edit(prompt="blue", video=file),
        lambda: sdk.videos.create_character(name="Ann", video=file),
        lambda: sdk.videos.get_character("char_1"),
    ]
    for ask in asked:
        with pytest.raises(openai.NotFoundError, match="not offered") as refused:
            ask()
        assert refused.value.code == "not_offered"


def test_pictures_in_the_making_hold_up_nothing_else(gateway, tmp_path, monkeypatch):
    """Far more of them are asked for than there are threads."""
    released, begun = Event(), Event()

    def slow(*_: object) -> bytes:
        begun.set()
        released.wait(60)
        return b"a picture"

    monkeypatch.setattr("api.routes.openai.still_of", slow)
    path = f"/v1/videos/{gateway.finished()}/content?variant=thumbnail"
    with (
        listening(parts_with(gateway.store, tmp_path)) as server,
        ThreadPoolExecutor(60) as pool,
        httpx.Client(base_url=f"http://127.0.0.1:{server.address[1]}", timeout=60) as client,
    ):
        asked = [pool.submit(httpx.get, f"{client.base_url}{path}", timeout=60) for _ in range(60)]
        assert begun.wait(60)
        assert client.get("/jobs").status_code == 200
        assert not any(one.done() for one in asked)
        released.set()
        assert {one.result().content for one in asked} == {b"a picture"}


def test_installed_models_are_looked_up_in_threads_where_a_slow_disk_holds_up_nobody(gateway, tmp_path):
    installed = gateway.parts.models.get()

    def read():
        with pytest.raises(RuntimeError, match="no running event loop"):
            asyncio.get_running_loop()
        return installed

    with serving(replace(gateway.parts, models=Cached(read, 0)), tmp_path) as attended:
        made = attended.client.post("/v1/videos", json={"prompt": "a cat", "size": "128x64"})
        assert made.status_code == 200
        attended.finish(made.json()["id"])
        again = attended.client.post(f"/v1/videos/{made.json()['id']}/remix", json={"prompt": "a dog"})
        assert again.status_code == 200
