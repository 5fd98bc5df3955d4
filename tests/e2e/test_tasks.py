"""All five tasks from a file in a form to an MP4, on tiny models; and the script that users check with."""

import subprocess
import sys
from typing import Any

import pytest

from scripts import sample_inputs
from tests.e2e.conftest import Service
from tests.media_files import animation, archive, picture, sound
from wan_models.pipelines.video import probe_mp4

pytestmark = pytest.mark.slow

STEPS: dict[str, Any] = {"prompt": "A cat", "sample_steps": "2", "base_seed": "1"}


def checked(service: Service, name: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "scripts.test_wan_service", "--test", name, "--url", service.address]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)


def inputs_left(service: Service) -> list[str]:
    """Names of input files that lie in the service's artifact store."""
    store = service.log.with_suffix("") / "artifacts"
    assert store.is_dir()
    return [str(path) for path in store.rglob("in/*")]


def made(service: Service, tmp_path, endpoint: str, fields: dict[str, Any], files: dict[str, bytes]):
    answer = service.client.post(f"/generate/{endpoint}", data=STEPS | fields, files=files)
    assert answer.status_code == 202, answer.text
    job = service.finished(answer.json()["id"])
    assert job["status"] == "completed", job["error"]
    (tmp_path / "video.mp4").write_bytes(service.video(job))
    return job, probe_mp4(tmp_path / "video.mp4")


@pytest.mark.parametrize("name", ["health", "models", "route", "t2v", "i2v", "ti2v", "s2v", "animation"])
def test_the_service_passes_every_check_of_the_script(service, name):
    run = checked(service, name)
    assert run.returncode == 0, run.stdout + run.stderr
    heads, row = run.stdout.splitlines()
    assert heads.split()[:2] == ["test", "time"]
    assert row.split()[:2] == ["ok", name]
    assert inputs_left(service) == []


def test_a_portrait_gives_the_shape_of_its_video(service, tmp_path):
    fields = {"size": "128*128", "frame_num": "5"}
    _, video = made(service, tmp_path, "image-to-video", fields, {"image": picture(50, 100)})
    assert (video.width, video.height, video.frames, video.fps) == (80, 176, 5, 16)


def test_a_speaking_video_lasts_as_long_as_the_speech_and_is_heard(service, tmp_path):
    files = {"image": picture(64, 64), "audio": sound(0.5)}
    job, video = made(service, tmp_path, "speech-to-video", {"size": "64*64"}, files)
    assert (video.width, video.height, video.frames) == (64, 64, 9)
    assert job["request"]["frame_num"] == 9


@pytest.mark.parametrize("replace", [False, True])
def test_an_animation_is_as_long_as_its_poses(service, tmp_path, replace):
    fields = {"replace_flag": str(replace), "refert_num": "77", "frame_num": "17"}
    files = {"src_root_path": archive(animation(9, replace=replace))}
    job, video = made(service, tmp_path, "animation", fields, files)
    assert (video.width, video.height, video.frames, video.fps) == (96, 64, 9, 30)
    assert len(job["warnings"]) == 1


def test_a_failed_job_leaves_no_inputs_and_a_worker_that_goes_on(service, tmp_path):
    content = {"image": sample_inputs.portrait()}
    fields = STEPS | {"size": "832*480", "sample_steps": "100", "timeout": "1"}
    answer = service.client.post("/generate/image-to-video", data=fields, files=content)
    assert answer.status_code == 202, answer.text
    failed = service.finished(answer.json()["id"])
    assert (failed["status"], failed["error"]["code"]) == ("failed", "timeout")
    assert inputs_left(service) == []
    made(service, tmp_path, "image-to-video", {"size": "64*64", "frame_num": "5"}, content)
