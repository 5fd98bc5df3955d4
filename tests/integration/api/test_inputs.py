"""Inputs of all five tasks through the gateway: every way to send them, and what is refused."""

import base64
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from threading import Event

import httpx
import pytest
from PIL import Image

from api.app import open_parts
from api.cached import Cached
from api.settings import GatewaySettings
from jobs.errors import StoreUnavailableError
from jobs.keys_memory import MemoryKeyStore
from tests.hostile import hostile_server
from tests.integration.api.conftest import Gateway
from tests.integration.api.inputs import (
    ANIMATION,
    COMMON,
    IMAGE,
    SPEECH,
    keys,
    refusal,
    taking_inputs,
)
from tests.integration.api.keys import access_with, token
from tests.integration.api.live import listening
from tests.media_files import animation, archive, picture, sound, video, written
from wan_models.models_dir import InstalledModel
from wan_models.request import VideoRequest

SPEECH_FIELDS = {**COMMON, "size": "128*64"}
SPOKEN = {"enable_tts": True, "tts_text": "Hello"}


@pytest.fixture
def folder(tmp_path):
    """The folder that requests may name files in."""
    path = tmp_path / "inputs"
    path.mkdir()
    return path


@pytest.fixture
def gateway(redis_url, tmp_path, folder, monkeypatch) -> Iterator[Gateway]:
    settings = {"inputs_dir": folder, "input_private_hosts": "127.0.0.1", "max_upload_bytes": 1024 * 1024}
    with taking_inputs(redis_url, tmp_path / "service", monkeypatch, **settings) as gateway:
        yield gateway


def accepted(gateway, url, **sent) -> VideoRequest:
    """The request as it was written down; each of its inputs is in the store."""
    answer = gateway.client.post(url, **sent)
    assert answer.status_code == 202, answer.text
    job = answer.json()
    request = VideoRequest.model_validate(gateway.store.get(job["id"]).spec)
    assert sorted(request.inputs.values()) == keys(gateway, job["id"])
    assert all(key.startswith(f"{job['id']}/in/") for key in request.inputs.values())
    assert [submitted.id for submitted in gateway.submitted] == [job["id"]]
    return request


def data_url(content: bytes) -> str:
    return f"data:application/octet-stream;base64,{base64.b64encode(content).decode()}"


class TestEveryTask:
    def test_an_image_becomes_a_job(self, gateway):
        request = accepted(gateway, IMAGE, json=COMMON | {"image_path": data_url(picture())})
        assert (request.task, list(request.inputs)) == ("i2v-A14B", ["image"])

    def test_a_first_and_a_last_frame_become_a_job(self, gateway):
        body = COMMON | {"image_path": data_url(picture()), "last_image_path": data_url(picture())}
        assert list(accepted(gateway, IMAGE, json=body).inputs) == ["image", "last_image"]

    @pytest.mark.parametrize("image", [{}, {"image_path": data_url(picture())}])
    def test_text_becomes_a_job_with_or_without_an_image(self, gateway, image):
        request = accepted(gateway, "/generate/text-image-to-video", json=COMMON | image)
        assert (request.task, len(request.inputs)) == ("ti2v-5B", len(image))

    def test_speech_becomes_a_job(self, gateway):
        files = {"image": picture(), "audio": sound(1.0)}
        request = accepted(gateway, SPEECH, data=SPEECH_FIELDS, files=files)
        assert sorted(request.inputs) == ["audio", "image"]

    def test_words_to_speak_become_a_job(self, gateway):
        body = COMMON | SPOKEN | {"image_path": data_url(picture()), "tts_prompt_text": "Hello, I am."}
        request = accepted(gateway, SPEECH, json=body)
        assert (request.tts_text, sorted(request.inputs)) == ("Hello", ["image"])

    def test_a_voice_to_clone_becomes_a_job_where_a_service_speaks(self, redis_url, tmp_path, monkeypatch):
        body = COMMON | SPOKEN | {"image_path": data_url(picture())}
        with taking_inputs(redis_url, tmp_path, monkeypatch, tts_url="http://tts:8091/v1") as gateway:
            request = accepted(gateway, SPEECH, json=body | {"tts_prompt_audio": data_url(sound(1.0))})
        assert sorted(request.inputs) == ["image", "tts_prompt"]

    def test_a_voice_to_clone_is_refused_where_none_can_be(self, gateway):
        body = COMMON | SPOKEN | {"image_path": data_url(picture())}
        sample = {"tts_prompt_audio": data_url(sound(1.0)), "tts_prompt_text": "Hello, I am."}
        said = refusal(gateway, SPEECH, field="tts_prompt_audio", json=body | sample)
        assert "set TTS_URL" in said

    def test_what_another_server_does_not_take_is_refused_where_it_serves_the_task(self, gateway):
        model = InstalledModel("t2v-A14B", Path("none"), tiny=False, engine="sglang")
        gateway.client.app.state.parts = replace(gateway.parts, models=Cached(lambda: {"t2v-A14B": model}, 0))
        body = {"prompt": "a cat", "boundary": 0.5}
        said = refusal(gateway, "/generate/text-to-video", field="boundary", json=body)
        assert said == "sglang, which serves t2v-A14B here, does not take it."
        assert gateway.client.post("/generate/text-to-video", json={"prompt": "a cat"}).status_code == 202

    @pytest.mark.parametrize(("tts_url", "clones"), [(None, False), ("http://tts:8091", True)])
    def test_a_gateway_goes_by_its_setting(self, tmp_path, tts_url, clones):
        parts = open_parts(GatewaySettings(data_dir=tmp_path, tts_url=tts_url))
        assert parts.clones_voices is clones

    @pytest.mark.parametrize("replace", [False, True])
    def test_an_animation_becomes_a_job(self, gateway, replace):
        files = {"src_root": archive(animation(replace=replace))}
        fields = {"prompt": "A dance", "replace_flag": str(replace), "refert_num": "77"}
        request = accepted(gateway, ANIMATION, data=fields, files=files)
        names = ["bg", "face", "mask", "pose", "ref"] if replace else ["face", "pose", "ref"]
        assert sorted(request.inputs) == names
        assert (request.replace_flag, request.refert_num) == (replace, 1)
        job = gateway.job(gateway.submitted[0].id)
        assert "77" in job["warnings"][0]

    def test_text_alone_may_come_as_a_form_too(self, gateway):
        fields = COMMON | {"sample_guide_scale": "[3, 4.5]", "base_seed": "7", "fps": ""}
        parts = {name: (None, str(value)) for name, value in fields.items()}
        request = accepted(gateway, "/generate/text-to-video", files=parts)
        assert (request.sample_guide_scale, request.base_seed, request.fps) == ((3, 4.5), 7, 16)


class TestWaysToSend:
    @pytest.mark.parametrize("name", ["image", "image_path"])
    def test_a_file_may_come_under_either_name(self, gateway, name):
        files = {name: ("../../etc/passwd", picture(), "text/html")}
        request = accepted(gateway, IMAGE, data=COMMON, files=files)
        assert request.inputs["image"].endswith("/in/image.png")

    def test_an_upload_may_be_used_by_several_jobs(self, gateway):
        asset = gateway.client.post("/uploads", files={"file": picture()}).json()["asset"]
        for _ in range(2):
            assert gateway.client.post(IMAGE, json=COMMON | {"image_path": asset}).status_code == 202

    def test_a_url_is_fetched_and_its_declared_type_ignored(self, gateway):
        with hostile_server({"/a.php": picture()}) as server:
            request = accepted(gateway, IMAGE, json=COMMON | {"image_path": f"{server.url}/a.php"})
        assert request.inputs["image"].endswith("/in/image.png")

    def test_a_url_may_lead_on_to_another_that_is_allowed(self, gateway):
        with hostile_server({"/a.png": picture()}) as server:
            request = accepted(gateway, IMAGE, json=COMMON | {"image_path": f"{server.url}/redirect?/a.png"})
        assert list(request.inputs) == ["image"]

    @pytest.mark.parametrize("absolute", [False, True])
    def test_a_path_below_the_folder_is_read(self, gateway, folder, absolute):
        written(folder / "sub", {"a.png": picture()})
        path = str(folder / "sub" / "a.png") if absolute else "sub/../sub/a.png"
        accepted(gateway, IMAGE, json=COMMON | {"image_path": path})
        assert (folder / "sub" / "a.png").exists()

    def test_the_files_of_an_animation_may_lie_in_a_folder(self, gateway, folder):
        written(folder / "dance", animation() | {"notes.txt": b"ignored"})
        request = accepted(gateway, ANIMATION, json={"src_root_path": "dance"})
        assert sorted(request.inputs) == ["face", "pose", "ref"]

    def test_an_animation_may_be_an_archive_below_the_folder(self, gateway, folder):
        written(folder, {"dance.zip": archive(animation())})
        request = accepted(gateway, ANIMATION, json={"src_root_path": "dance.zip"})
        assert sorted(request.inputs) == ["face", "pose", "ref"]

    def test_what_is_stored_is_made_anew_from_what_was_sent(self, gateway):
        exif = Image.Exif()
        exif[0x010F] = "secret"
        content = picture(format="JPEG", exif=exif)
        request = accepted(gateway, IMAGE, json=COMMON | {"image_path": data_url(content)})
        stored = b"".join(gateway.parts.artifacts.read(request.inputs["image"]))
        assert stored.startswith(b"\x89PNG")
        assert b"secret" not in stored


class TestShapes:
    def test_the_image_gives_the_shape_and_the_size_the_area(self, gateway):
        body = COMMON | {"image_path": data_url(picture(50, 100)), "size": "128*128"}
        request = accepted(gateway, IMAGE, json=body)
        assert (request.width, request.height) == (80, 176)

    def test_an_image_beyond_any_shape_is_refused(self, gateway):
        body = COMMON | {"image_path": data_url(picture(1000, 10))}
        assert "narrow" in refusal(gateway, IMAGE, field="image_path", json=body)

    def test_the_poses_give_the_size_of_an_animation(self, gateway):
        files = {"src_root": archive(animation())}
        request = accepted(gateway, ANIMATION, data={"prompt": "A dance"}, files=files)
        assert (request.width, request.height) == (96, 64)

    def test_the_speech_gives_the_length(self, gateway):
        fields = {name: SPEECH_FIELDS[name] for name in ("prompt", "size")}
        files = {"image": picture(), "audio": sound(1.0)}
        assert accepted(gateway, SPEECH, data=fields, files=files).frame_num == 17


class TestRefusals:
    @pytest.mark.parametrize(
        ("source", "words"),
        [
            (data_url(b"not an image"), "not a PNG"),
            (data_url(sound()), "audio/wav"),
            (data_url(picture()[:60]), "broken"),
            (data_url(picture(8000, 8000, mode="1")), "50 million"),
            ("data:image/png;base64,%%%", "base64"),
            ("data:image/png", "comma"),
            ("ftp://files.example/a.png", "https://"),
            ("file:///etc/passwd", "https://"),
            ("form:image_path", "https://"),
            ("asset://nothing", "no such upload"),
            ("asset://../../x", "no such upload"),
            ("asset://asset_01jd00000000000000000000zz", "no such upload"),
            ("https://localhost/a.png", "public"),
            ("https://169.254.169.254/latest/meta-data/", "public"),
            ("http://files.example/a.png", "https://"),
            ("missing.png", "no such file"),
            ("/etc/passwd", "no such file"),
            ("../service/secret.png", "no such file"),
            (".", "no such file"),
        ],
    )
    def test_an_image_that_cannot_be_had_or_used_is_refused(self, gateway, source, words):
        assert words in refusal(gateway, IMAGE, field="image_path", json=COMMON | {"image_path": source})

    def test_links_and_pipes_in_the_folder_lead_nowhere(self, gateway, folder, tmp_path):
        written(tmp_path, {"secret.png": picture()})
        (folder / "link.png").symlink_to(tmp_path / "secret.png")
        (folder / "loop").symlink_to(folder / "loop")
        (folder / "up").symlink_to(tmp_path)
        os.mkfifo(folder / "pipe.png")
        for path in ("link.png", "loop", "up/secret.png", "pipe.png"):
            body = COMMON | {"image_path": path}
            assert "no such file" in refusal(gateway, IMAGE, field="image_path", json=body)

    def test_a_file_beyond_the_limit_is_refused_wherever_it_comes_from(self, gateway, folder):
        large = bytes(1024 * 1024 + 1)
        written(folder, {"large.png": large})
        with hostile_server({"/large.png": large}) as server:
            for source in ("large.png", f"{server.url}/large.png", f"{server.url}/endless"):
                body = COMMON | {"image_path": source}
                assert "larger than" in refusal(gateway, IMAGE, field="image_path", json=body)
        answer = gateway.client.post(IMAGE, data=COMMON, files={"image": large})
        assert answer.status_code == 413

    def test_a_url_that_leads_astray_is_refused(self, gateway):
        with hostile_server() as server:
            for path, words in [
                ("/missing.png", "404"),
                ("/short", "broke off"),
                ("/redirect?https://10.0.0.1/a.png", "public"),
                ("/redirect?file:///etc/passwd", "https://"),
                ("/redirect?/redirect?/redirect?/redirect?/redirect", "more than 3"),
            ]:
                body = COMMON | {"image_path": server.url + path}
                assert words in refusal(gateway, IMAGE, field="image_path", json=body)

    @pytest.mark.parametrize(
        ("audio", "words"),
        [
            (sound(0.2), "too short"),
            (sound(61, rate=8000), "too long"),
            (picture(), "image/png"),
            (video(), "no sound"),
            (b"RIFF\0\0\0\0WAVE", "broken"),
        ],
        ids=["short", "long", "picture", "silent", "broken"],
    )
    def test_speech_that_cannot_be_used_is_refused(self, gateway, audio, words):
        files = {"image": picture(), "audio": audio}
        assert words in refusal(gateway, SPEECH, field="audio_path", data=COMMON, files=files)

    @pytest.mark.parametrize(
        ("changes", "words"),
        [
            ({"src_face": None}, "lacks src_face.mp4"),
            ({"src_pose": video(1)}, "1 frame;"),
            ({"src_face": video(5, 64, 64)}, "src_face.mp4 has 5 frames"),
            ({"src_mask": video(9, 64, 64)}, "src_mask.mp4 is 64*64"),
            ({"src_bg": video(8)}, "src_bg.mp4 has 8 frames"),
            ({"src_mask": None, "src_bg": None}, "lacks src_bg.mp4 and src_mask.mp4"),
            ({"src_ref": b"broken"}, "src_ref.png: It is not a PNG"),
            ({"src_pose": sound(1, container="ipod")}, "src_pose.mp4: "),
        ],
    )
    def test_an_animation_whose_files_do_not_go_together_is_refused(self, gateway, changes, words):
        files = {"src_root_path": archive(animation(replace=True, **changes))}
        fields = {"replace_flag": "true"}
        assert words in refusal(gateway, ANIMATION, field="src_root_path", data=fields, files=files)

    def test_an_animation_without_its_files_is_refused(self, gateway, folder):
        written(folder / "empty", {})
        for source in ("empty", "missing", "/etc"):
            assert refusal(gateway, ANIMATION, field="src_root_path", json={"src_root_path": source})

    @pytest.mark.parametrize(
        ("url", "field"), [(IMAGE, "image_path"), (SPEECH, "image_path"), (ANIMATION, "src_root_path")]
    )
    def test_a_missing_input_is_named(self, gateway, url, field):
        assert refusal(gateway, url, field=field, json={"prompt": "a"}) == "This field is required."

    def test_an_input_may_come_only_once_and_only_where_it_belongs(self, gateway):
        twice = [("image", picture()), ("image_path", picture())]
        assert "twice" in refusal(gateway, IMAGE, field="image_path", data=COMMON, files=twice)
        both = {"data": COMMON | {"image_path": "a.png"}, "files": {"image": picture()}}
        assert "twice" in refusal(gateway, IMAGE, field="image_path", **both)
        fields = {"data": COMMON, "files": {"fps": picture()}}
        assert "no file" in refusal(gateway, IMAGE, field="fps", **fields)

    @pytest.mark.parametrize(
        ("field", "value"), [("sample_steps", "many"), ("fps", "1e9"), ("sample_guide_scale", "1,2,3")]
    )
    def test_a_field_of_a_form_is_held_to_the_same_rules(self, gateway, field, value):
        sent = {"data": COMMON | {field: value}, "files": {"image": picture()}}
        assert refusal(gateway, IMAGE, field=field, **sent)

    def test_what_can_be_refused_before_it_is_fetched_is(self, gateway):
        with hostile_server({"/a.png": picture()}) as server:
            body = COMMON | {"image_path": f"{server.url}/a.png", "size": "1*1"}
            refusal(gateway, IMAGE, field="size", json=body)
            assert server.requests == []

    @pytest.mark.parametrize(
        "content", [b"", b"--x", b"--x\r\n\r\n", b"--x\r\nContent-Disposition: form-data\r\n\r\na\r\n--x--"]
    )
    def test_a_form_that_is_none_is_refused(self, gateway, content):
        answer = gateway.client.post(
            IMAGE, content=content, headers={"content-type": "multipart/form-data; boundary=x"}
        )
        assert answer.status_code in (400, 422)
        assert (
            gateway.client.post(
                IMAGE, content=content, headers={"content-type": "multipart/form-data"}
            ).status_code
            == 400
        )

    def test_a_service_without_a_folder_takes_no_paths(self, redis_url, tmp_path, monkeypatch):
        with taking_inputs(redis_url, tmp_path, monkeypatch) as gateway:
            body = COMMON | {"image_path": "/path/to/image.jpg"}
            assert "no paths" in refusal(gateway, IMAGE, field="image_path", json=body)


class TestRepeating:
    @staticmethod
    def send(gateway, content: bytes, **fields):
        headers = {"idempotency-key": "key-1"} if fields.pop("with_key", True) else {}
        return gateway.client.post(IMAGE, data=COMMON | fields, files={"image": content}, headers=headers)

    def test_the_same_form_under_a_key_gives_the_same_job_whatever_its_boundary(self, gateway):
        first, second = (self.send(gateway, picture()) for _ in range(2))
        assert first.json()["id"] == second.json()["id"]
        assert keys(gateway) == [f"{first.json()['id']}/in/image.png"]

    def test_another_file_under_the_key_is_another_request(self, gateway):
        self.send(gateway, picture()).raise_for_status()
        answer = self.send(gateway, picture(64, 96))
        assert (answer.status_code, answer.json()["error_type"]) == (422, "idempotency_key_used")
        assert len(keys(gateway)) == 1

    def test_a_refused_form_gives_its_key_up(self, gateway):
        assert self.send(gateway, b"not an image").status_code == 422
        assert self.send(gateway, picture()).status_code == 202


class TestWhatIsLeft:
    def test_inputs_go_when_the_job_cannot_be_written(self, gateway, monkeypatch):
        def away(_new):
            raise StoreUnavailableError("away")

        monkeypatch.setattr(gateway.store, "submit_all", away)
        answer = gateway.client.post(IMAGE, data=COMMON, files={"image": picture()})
        assert answer.status_code == 503
        assert keys(gateway) == []

    def test_inputs_go_when_the_client_cancels(self, gateway):
        accepted(gateway, IMAGE, data=COMMON, files={"image": picture()})
        job_id = gateway.submitted[0].id
        gateway.client.post(f"/jobs/{job_id}/cancel").raise_for_status()
        assert keys(gateway) == []

    def test_inputs_stay_while_a_cancelled_attempt_still_runs_and_go_when_it_ends(self, gateway):
        accepted(gateway, IMAGE, data=COMMON, files={"image": picture()})
        lease = gateway.store.claim("i2v-A14B", "worker-1").lease
        gateway.client.post(f"/jobs/{lease.job_id}/cancel").raise_for_status()
        assert len(keys(gateway)) == 1
        gateway.store.release(lease)
        assert keys(gateway) == []

    def test_nothing_of_a_request_is_left_on_this_machine(self, gateway, tmp_path, monkeypatch):
        scratch = tmp_path / "scratch"
        scratch.mkdir()
        monkeypatch.setattr("tempfile.tempdir", str(scratch))
        accepted(gateway, IMAGE, data=COMMON, files={"image": picture()})
        gateway.client.post(IMAGE, data=COMMON, files={"image": b"not an image"})
        assert list(scratch.iterdir()) == []


class TestARouteThatIsExecuted:
    """A query with attachments becomes a job with the same inputs as a request to the endpoint."""

    @pytest.mark.parametrize(
        ("query", "attached", "task"),
        [
            ("animate this photo, 2 seconds", {"image": picture()}, "i2v-A14B"),
            ("make her say 'good morning'", {"image": picture()}, "s2v-14B"),
            ("lip sync this", {"image": picture(), "audio": sound(1.0)}, "s2v-14B"),
        ],
    )
    @pytest.mark.parametrize("way", ["url", "asset_id"])
    def test_it_takes_its_attachments_for_inputs(self, gateway, query, attached, task, way):
        body = {"query": query, "modality": ["text", *attached], "execute": True}
        body["attachments"] = [
            {"kind": kind, way: data_url(content) if way == "url" else uploaded(gateway, content)}
            for kind, content in attached.items()
        ]
        answer = gateway.client.post("/api/v1/route", json=body)
        assert answer.status_code == 202, answer.text
        job = answer.json()["job"]
        request = VideoRequest.model_validate(gateway.store.get(job["id"]).spec)
        assert (request.task, set(request.inputs)) == (task, set(attached))
        assert sorted(request.inputs.values()) == keys(gateway, job["id"])

    def test_an_attachment_that_is_something_else_is_refused(self, gateway):
        body = {"query": "animate this photo", "execute": True}
        attachment = {"kind": "image", "url": data_url(b"no picture")}
        answer = gateway.client.post("/api/v1/route", json=body | {"attachments": [attachment]})
        assert answer.status_code == 422
        assert gateway.client.get("/jobs").json()["jobs"] == []


def uploaded(gateway, content: bytes) -> str:
    return str(gateway.client.post("/uploads", files={"file": content}).json()["id"])


def test_a_tenants_slow_servers_hold_no_other_tenant_up(gateway):
    """Far more of its inputs are under way than it has threads."""
    keys = MemoryKeyStore()
    slow, other = ({"authorization": f"Bearer {token(keys, tenant)}"} for tenant in ("slow", "other"))
    parts = replace(gateway.parts, access=access_with(keys))
    with hostile_server() as server, listening(parts) as served, ThreadPoolExecutor(20) as pool:
        url = f"http://127.0.0.1:{served.address[1]}"
        body = COMMON | {"image_path": f"{server.url}/silent"}
        asked = [pool.submit(httpx.post, url + IMAGE, json=body, headers=slow, timeout=60) for _ in range(20)]
        while len(server.requests) < 4:
            Event().wait(0.01)
        headers = other | {"content-type": "application/octet-stream"}
        assert httpx.post(f"{url}/uploads", content=picture(), headers=headers, timeout=30).status_code == 201
        assert not any(one.done() for one in asked)
        server.released.set()
        assert {one.result().status_code for one in asked} == {422}
