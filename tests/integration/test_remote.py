"""Tasks that other servers of videos make, in both dialects."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import SecretStr

from tests.engine_server import EngineServer, engine
from tests.integration.file_checkpoints import FileCheckpoints
from tests.integration.ways import WAYS
from wan_models.engines import EnginesError, RemoteEngine, read_engines
from wan_models.errors import (
    EngineUnavailableError,
    GenerationError,
    GenerationStoppedError,
    UnusableInputError,
)
from wan_models.models_dir import served_models
from wan_models.pipeline import EncodedVideo, GeneratedVideo, Run
from wan_models.pipelines.remote import RemotePipeline
from wan_models.pipelines.video import VideoInfo, encode_mp4, probe_mp4, write_mp4
from wan_models.registry import Registry

DIALECTS = ("vllm-omni", "sglang")


@pytest.fixture(scope="session")
def video(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("engine") / "video.mp4"
    encode_mp4(torch.zeros(5, 64, 128, 3, dtype=torch.uint8), path, 16)
    return path.read_bytes()


@pytest.fixture(params=DIALECTS)
def server(request: pytest.FixtureRequest, video: bytes):
    with engine(request.param, video) as server:
        yield server


@pytest.fixture
def omni(video: bytes):
    with engine("vllm-omni", video) as server:
        yield server


@pytest.fixture
def sglang(video: bytes):
    with engine("sglang", video) as server:
        yield server


def remote(server: EngineServer, task: str = "t2v-A14B", key: str | None = None) -> RemotePipeline:
    dialect: Any = server.dialect
    secret = SecretStr(key) if key else None
    return RemotePipeline(RemoteEngine(task, server.url, dialect, "wan", secret), wait=lambda _seconds: None)


def generate(server: EngineServer, way: str = "t2v-A14B", media: Path = Path(), **how: Any) -> GeneratedVideo:
    told = WAYS[way]
    run = replace(told.run(media), **how)
    return remote(server, told.task).generate(told.request(), run)


def test_a_video_is_what_the_engine_made(server, video, tmp_path):
    made = generate(server)
    assert isinstance(made.frames, EncodedVideo)
    assert (made.frames.content, made.frames.shape) == (video, (5, 64, 128, 3))
    assert (made.metrics["denoise_seconds"], made.metrics["engine"]) == (12.5, server.dialect)
    assert made.metrics["peak_memory_mb"] == 41300.0
    write_mp4(made.frames, tmp_path / "v.mp4", 16)
    assert probe_mp4(tmp_path / "v.mp4") == VideoInfo(128, 64, 5, 16.0, "h264", "yuv420p")
    assert server.deleted == []


def test_everything_that_was_asked_for_reaches_the_engine(server):
    request = WAYS["t2v-A14B"].request(sample_guide_scale=[2.5, 4.5], base_seed=7)
    remote(server).generate(request, Run(on_step=lambda *_: None))
    asked = {name: str(value) for name, value in server.asked[0].items()}
    boundary = {"boundary_ratio": "0.875"} if server.dialect == "vllm-omni" else {}
    assert asked == boundary | {
        "model": "wan",
        "prompt": "a cat",
        "negative_prompt": request.negative_prompt,
        "size": "64x64",
        "width": "64",
        "height": "64",
        "num_frames": "5",
        "fps": "16",
        "num_inference_steps": "3",
        "guidance_scale": "4.5",
        "guidance_scale_2": "2.5",
        "flow_shift": "12.0",
        "seed": "7",
    }


def test_a_picture_comes_along(server, media):
    generate(server, "i2v-A14B", media)
    expected = WAYS["i2v-A14B"].run(media).inputs["image"].read_bytes()
    assert server.asked[0]["input_reference"] == expected
    assert server.asked[0]["num_frames"] in ("5", 5)


def test_speech_comes_along_where_it_is_understood(omni, media):
    generate(omni, "s2v-14B", media)
    assert json.loads(omni.asked[0]["audio_reference"])["audio_url"].startswith("data:audio/wav;base64,")


def test_an_input_that_an_engine_cannot_use_is_named(server, media):
    with pytest.raises(UnusableInputError, match="last_image"):
        generate(server, "i2v-A14B to a last frame", media)
    assert server.asked == []


def test_steps_are_told_as_far_as_the_engine_tells(server):
    server.percents = [0, 40, 70, 10, 99]
    steps: list[tuple[int, int]] = []
    generate(server, on_step=lambda step, of: steps.append((step, of)))
    assert steps == [(0, 3), (1, 3), (2, 3), (2, 3), (2, 3), (3, 3)]


def test_a_run_that_is_stopped_stops_the_engine(server):
    def stop(_step: int, _steps: int) -> None:
        raise GenerationStoppedError

    with pytest.raises(GenerationStoppedError):
        generate(server, on_step=stop)
    assert server.deleted == ["video_1"]
    assert generate(server).frames.shape == (5, 64, 128, 3)


def test_a_run_that_another_attempt_goes_on_with_leaves_the_engine_at_work(server, tmp_path):
    class LeftError(GenerationStoppedError):
        goes_on = True

    def leave(_step: int, _steps: int) -> None:
        raise LeftError

    kept = FileCheckpoints(tmp_path / "kept")
    with pytest.raises(LeftError):
        generate(server, on_step=leave, checkpoints=kept)
    assert generate(server, checkpoints=kept).frames.shape == (5, 64, 128, 3)
    assert (len(server.asked), server.deleted) == (1, [])


def test_a_video_that_the_engine_has_forgotten_is_asked_for_again(server, tmp_path):
    kept = FileCheckpoints(tmp_path / "kept")
    generate(server, checkpoints=kept)
    server.polls.clear()
    generate(server, checkpoints=kept)
    assert len(server.asked) == 2


def test_what_failed_on_the_engine_fails_here_with_its_reason(server):
    server.error = "The prompt is not allowed."
    with pytest.raises(GenerationError, match="The engine failed: The prompt is not allowed"):
        generate(server)


def test_the_reason_does_not_repeat_the_prompt_which_no_log_should_hold(server):
    prompt = WAYS["t2v-A14B"].request().prompt
    server.error = f"Not allowed: '{prompt}'"
    with pytest.raises(GenerationError, match=r"The engine failed: Not allowed: '\[prompt\]'"):
        generate(server)


def test_a_request_that_is_refused_fails_with_the_reason(server):
    server.refusals = [422]
    with pytest.raises(GenerationError, match=r"The engine refuses the request \(422\): Not now"):
        generate(server)


def test_a_busy_engine_is_asked_again_for_as_long_as_it_takes(server):
    server.refusals = [429, 503] * 10
    assert generate(server).frames.shape == (5, 64, 128, 3)


def test_an_engine_that_is_away_may_be_back_for_the_next_attempt(server):
    gone = remote(server)
    gone._engine = RemoteEngine("t2v-A14B", "http://127.0.0.1:1", gone._engine.dialect)
    with pytest.raises(EngineUnavailableError, match="cannot be reached"):
        gone.generate(WAYS["t2v-A14B"].request(), Run(on_step=lambda *_: None))


def test_what_is_no_video_is_told_so(server):
    server.video = b"<html>"
    with pytest.raises(GenerationError, match="no video"):
        generate(server)


def test_a_file_that_is_kept_elsewhere_is_fetched_there_without_the_key(sglang):
    sglang.elsewhere, sglang.key = True, "secret"
    pipeline = remote(sglang, key="secret")
    made = pipeline.generate(WAYS["t2v-A14B"].request(), Run(on_step=lambda *_: None))
    assert made.frames.shape == (5, 64, 128, 3)


class TestTheFile:
    @pytest.fixture
    def path(self, tmp_path: Path) -> Path:
        return tmp_path / "engines.toml"

    def test_names_the_engine_of_a_task_and_keeps_its_key_to_itself(self, path):
        (path.parent / "key").write_text("secret\n")
        path.write_text(
            f'[t2v-A14B]\nurl = "http://a:1/v1/"\ndialect = "sglang"\nkey_file = "{path.parent / "key"}"\n'
            '[s2v-14B]\nurl = "https://b"\ndialect = "vllm-omni"\nmodel = "m"\n'
        )
        engines = read_engines(path)
        key = engines["t2v-A14B"].key
        assert key
        assert (engines["t2v-A14B"].url, key.get_secret_value()) == ("http://a:1", "secret")
        assert "secret" not in repr(engines)
        assert engines["s2v-14B"] == RemoteEngine("s2v-14B", "https://b", "vllm-omni", "m")

    @pytest.mark.parametrize(
        "text",
        [
            "",
            '[t2v-1B]\nurl = "http://a"\ndialect = "sglang"',
            '[animate-14B]\nurl = "http://a"\ndialect = "vllm-omni"',
            '[s2v-14B]\nurl = "http://a"\ndialect = "sglang"',
            '[t2v-A14B]\nurl = "ftp://a"\ndialect = "sglang"',
            '[t2v-A14B]\nurl = "http://a"\ndialect = "other"',
            '[t2v-A14B]\nurl = "http://a"\ndialect = "sglang"\nkey = "a"\nkey_file = "b"',
            '[t2v-A14B]\nurl = "http://a"\ndialect = "sglang"\nkey_file = "/no/such/file"',
            "[",
        ],
    )
    def test_is_refused_with_its_name_where_it_is_wrong(self, path, text):
        if text:
            path.write_text(text)
        with pytest.raises(EnginesError, match=r"engines\.toml cannot be used"):
            read_engines(path)

    def test_that_is_not_there_has_no_engines(self):
        assert read_engines(None) == {}


def test_a_task_with_an_engine_is_served_without_its_model(server, tmp_path):
    dialect: Any = server.dialect
    engines = {"t2v-A14B": RemoteEngine("t2v-A14B", server.url, dialect)}
    served = served_models(tmp_path, engines)
    assert {task: model.engine for task, model in served.items()} == {"t2v-A14B": dialect}
    pipeline = Registry(tmp_path, engines=engines).load("t2v-A14B")
    assert isinstance(pipeline, RemotePipeline)
