"""The openai SDK, unmodified, and the requests of other servers' benchmarks, against the whole service."""

import asyncio
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import pytest
from openai import AsyncOpenAI, BadRequestError, NotFoundError, OpenAI, UnprocessableEntityError, omit
from PIL import Image

from wan_models.pipelines.video import probe_mp4

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # the SDK's, about its own videos
]

SMALL = {"num_inference_steps": 3, "num_frames": 5, "seed": 1}


@pytest.fixture(scope="session")
def sdk(service):
    with OpenAI(base_url=f"{service.address}/v1", api_key="EMPTY", max_retries=0) as client:
        yield client


@pytest.fixture(scope="session")
def made(sdk):
    """A finished video."""
    return sdk.videos.create_and_poll(
        prompt="a lighthouse", model="t2v-A14B", size="64x64", extra_body=SMALL | {"fps": 8}
    )


def picture(width: int = 64, height: int = 64) -> bytes:
    data = BytesIO()
    Image.linear_gradient("L").resize((width, height)).convert("RGB").save(data, "PNG")
    return data.getvalue()


def test_create_and_poll_gives_a_finished_video(made):
    assert (made.object, made.status, made.progress) == ("video", "completed", 100)
    assert (made.model, made.size, made.prompt, made.error) == ("t2v-A14B", "64x64", "a lighthouse", None)
    assert made.seconds == "0.5"
    assert made.created_at <= made.completed_at <= made.expires_at
    assert made.inference_time_s > 0
    assert made.stage_durations["denoise"] > 0


def test_its_content_is_a_video_a_thumbnail_and_a_spritesheet(sdk, made, tmp_path: Path):
    file = tmp_path / "video.mp4"
    sdk.videos.download_content(made.id).write_to_file(file)
    assert probe_mp4(file).frames == 5
    thumbnail = Image.open(BytesIO(sdk.videos.download_content(made.id, variant="thumbnail").read()))
    assert (thumbnail.format, thumbnail.size) == ("WEBP", (64, 64))
    for _ in range(2):  # made, then kept
        sheet = Image.open(BytesIO(sdk.videos.download_content(made.id, variant="spritesheet").read()))
        assert (sheet.format, sheet.size) == ("JPEG", (5 * 64, 64))


def test_a_range_of_the_content_is_served(service, made):
    answer = service.client.get(f"/v1/videos/{made.id}/content", headers={"range": "bytes=4-7"})
    assert (answer.status_code, answer.content) == (206, b"ftyp")


def test_lists_page_in_both_orders(sdk, made):
    more = [sdk.videos.create(prompt=f"number {n}", size="64x64", extra_body=SMALL).id for n in range(3)]
    newest = [video.id for video in sdk.videos.list(limit=2)]
    assert newest[: len(more)] == more[::-1]
    assert newest[-1] <= made.id
    assert len(set(newest)) == len(newest)
    assert [video.id for video in sdk.videos.list(limit=2, order="asc")] == newest[::-1]
    page = sdk.videos.list(limit=2)
    assert (page.has_more, page.first_id, page.last_id) == (True, newest[0], newest[1])


def test_a_picture_comes_as_a_file_or_as_an_address(sdk):
    job = sdk.videos.create_and_poll(
        prompt="it moves",
        model="i2v-A14B",
        input_reference=("first.png", picture(), "image/png"),
        size="64x64",
        extra_body=SMALL,
    )
    assert (job.status, job.model) == ("completed", "i2v-A14B")


def test_remix_takes_everything_but_the_prompt(sdk, service, made):
    remix = sdk.videos.poll(sdk.videos.remix(made.id, prompt="a lighthouse at night").id)
    assert (remix.status, remix.remixed_from_video_id) == ("completed", made.id)
    assert (remix.prompt, remix.size, remix.seconds) == ("a lighthouse at night", made.size, made.seconds)
    mine, its = (service.job(job_id)["request"] for job_id in (remix.id, made.id))
    assert mine["base_seed"] == its["base_seed"]


class TestExtension:
    """The SDK can send a reference as a file, or as text, and as an object only in ``extra_body``."""

    @staticmethod
    def longer(sdk, folder: Path, **wanted):
        video = sdk.videos.poll(sdk.videos.extend(prompt="it goes on", seconds="1", **wanted).id)
        assert (video.status, video.error) == ("completed", None)
        file = folder / "longer.mp4"
        sdk.videos.download_content(video.id).write_to_file(file)
        return video, probe_mp4(file)

    @pytest.mark.parametrize("by", ["text", "object"])
    def test_holds_the_old_video_and_the_new_one(self, sdk, made, tmp_path, by):
        reference: dict[str, dict[str, Any]] = {
            "text": {"video": (None, made.id)},
            "object": {"video": omit, "extra_body": {"video": {"id": made.id}}},
        }
        video, file = self.longer(sdk, tmp_path, **reference[by])
        assert (file.frames, video.seconds) == (5 + 9 - 1, "1.5")
        assert video.remixed_from_video_id == made.id

    def test_goes_on_from_a_file_at_the_pace_of_the_model(self, sdk, made, tmp_path):
        content = sdk.videos.download_content(made.id).read()  # 5 frames at 8 a second
        video, file = self.longer(sdk, tmp_path, video=("mine.mp4", content, "video/mp4"))
        assert (video.model, video.size, video.remixed_from_video_id) == ("i2v-A14B", "64x64", None)
        assert (file.frames, file.fps) == (10 + 17 - 1, 16)

    def test_a_file_that_is_no_video_is_refused(self, sdk):
        with pytest.raises(UnprocessableEntityError, match="video: It is not an MP4 or WebM video"):
            sdk.videos.extend(prompt="it goes on", seconds="1", video=b"a text")

    def test_without_a_reference_it_is_refused(self, sdk):
        with pytest.raises(UnprocessableEntityError, match="video: This field is required"):
            sdk.videos.extend(prompt="it goes on", seconds="1", video=omit)


def test_a_deleted_video_is_gone_and_an_unfinished_one_is_cancelled(sdk):
    done = sdk.videos.create_and_poll(prompt="short", size="64x64", extra_body=SMALL)
    assert sdk.videos.delete(done.id).deleted
    with pytest.raises(NotFoundError):
        sdk.videos.retrieve(done.id)
    running = sdk.videos.create(
        prompt="long", size="256x128", extra_body={"num_inference_steps": 100, "num_frames": 5}
    )
    assert sdk.videos.delete(running.id).deleted
    with suppress(NotFoundError):  # it was still queued, and is gone at once
        assert sdk.videos.poll(running.id).status == "cancelled"


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"size": "31x31"}, "size"),
        ({"seconds": "60"}, "seconds"),
        ({"prompt": ""}, "prompt"),
        ({"extra_body": {"num_inference_steps": 0}}, "num_inference_steps"),
    ],
)
def test_the_sdk_shows_what_is_wrong_with_a_request(sdk, fields, named):
    with pytest.raises((BadRequestError, UnprocessableEntityError)) as refused:
        sdk.videos.create(**({"prompt": "a cat", "size": "64x64"} | fields))
    assert named in refused.value.message


def test_an_unknown_model_is_refused_and_the_known_ones_are_listed(sdk):
    with pytest.raises((NotFoundError, UnprocessableEntityError), match="sora-2"):
        sdk.videos.create(prompt="a cat", model="sora-2")
    assert "t2v-A14B" in {model.id for model in sdk.models.list()}


def test_the_asynchronous_client_works_as_well(service):
    async def run() -> str:
        async with AsyncOpenAI(base_url=f"{service.address}/v1", api_key="EMPTY") as client:
            video = await client.videos.create_and_poll(prompt="a cat", extra_body=SMALL | {"size": "64x64"})
            content = await client.videos.download_content(video.id)
            return (await content.aread())[4:8].decode()

    assert asyncio.run(run()) == "ftyp"


LENGTH = {"num_frames": 5, "fps": 8, "num_inference_steps": 2}


def benchmark_requests():
    """What serving benchmarks send, as it was seen of vLLM-Omni 0.20, SGLang 0.5.23 and AIPerf 0.13."""
    sides, text = {"width": 64, "height": 64}, {"prompt": "a cat"}
    reference = {"input_reference": ("cat.png", picture(), "application/octet-stream")}
    url_encoded = {name: str(value) for name, value in (text | sides | LENGTH | {"seed": 7}).items()}
    sglang = text | {"model": "t2v-A14B", "num_outputs_per_prompt": 1, "size": "64x64"} | LENGTH
    form = {
        "model": "i2v-A14B",
        "prompt": "a cat",
        "num_outputs_per_prompt": "1",
        "size": "64x64",
        "extra_body": '{"num_inference_steps": 2, "guidance_scale": 3.5}',
        "num_frames": "5",
        "fps": "8",
    }
    aiperf = text | {"model": "t2v-A14B", "size": "64x64", "seconds": "0.5", "num_inference_steps": "2"}
    return {
        "vLLM-Omni": {"data": url_encoded},
        "vLLM-Omni, picture": {"data": url_encoded, "files": reference},
        "SGLang": {"json": sglang | {"guidance_scale": 4.0}},
        "SGLang, picture": {"data": form, "files": reference},
        "AIPerf": {"json": aiperf},
        "AIPerf, form": {"files": {name: (None, value) for name, value in aiperf.items()}},
    }


def test_serving_benchmarks_are_served_unmodified(service):
    """Each submits, which must be a 200, polls, fetches the video in its own way, and may delete it."""
    requests = benchmark_requests()
    videos = {name: service.client.post("/v1/videos", **sent) for name, sent in requests.items()}
    assert {name: video.status_code for name, video in videos.items()} == dict.fromkeys(requests, 200)
    for name, video in videos.items():
        path = f"/v1/videos/{video.json()['id']}"
        job = service.finished(video.json()["id"])
        assert (job["status"], job["warnings"]) == ("completed", []), (name, job["error"])
        assert job["request"]["sample_steps"] == 2, name
        assert job["task"] == ("i2v-A14B" if "picture" in name else "t2v-A14B"), name
        told = service.client.get(path).json()
        assert told["inference_time_s"] > 0
        assert sum(told["stage_durations"].values()) > 0
        assert told["peak_memory_mb"] >= 0
        for content in (told["url"], f"{path}/content"):
            assert service.client.get(content).content[4:8] == b"ftyp", (name, content)
        assert service.client.delete(path).json()["deleted"] is True


def test_what_other_servers_take_is_taken_or_named(service):
    json = {
        "prompt": "a cat",
        "width": 64,
        "height": 64,
        "seconds": "1",
        "fps": 8,
        "num_inference_steps": 2,
        "extra_body": {"guidance_scale_2": 3.0, "flow_shift": 5.0, "boundary_ratio": 0.5},
        "enable_teacache": False,
        "output_quality": "default",
    }
    job = service.client.post("/v1/videos", json=json).raise_for_status().json()
    asked = service.job(job["id"])["request"]
    assert (asked["boundary"], asked["sample_shift"], asked["frame_num"]) == (0.5, 5.0, 9)
    assert asked["sample_guide_scale"] == [3.0, 4.0]
    assert "enable_teacache, output_quality" in job["warnings"][0]


def test_an_unfinished_video_says_when_to_poll_again(service):
    answer = service.client.post("/v1/videos", json={"prompt": "a cat", "size": "64x64"} | SMALL)
    assert int(answer.headers["openai-poll-after-ms"]) >= 1000
    service.finished(answer.json()["id"])
    final = httpx.get(f"{service.address}/v1/videos/{answer.json()['id']}")
    assert "openai-poll-after-ms" not in final.headers
