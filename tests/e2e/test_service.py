"""HTTP in, MP4 out: every process, store and pipeline in between is the real one."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from jobs.embedded import EmbeddedRedis
from scripts.running import running_from
from tests.e2e.conftest import Service, free_port, running_service
from wan_models.models_dir import installed_model
from wan_models.pipelines.video import VideoInfo, probe_mp4

pytestmark = pytest.mark.slow


def probe(content: bytes, directory: Path) -> VideoInfo:
    file = directory / "video.mp4"
    file.write_bytes(content)
    return probe_mp4(file)


@pytest.mark.parametrize(("task", "fps"), [("t2v-A14B", 16), ("ti2v-5B", 24)])
def test_a_submitted_job_becomes_the_video_that_was_asked_for(service, tmp_path, task, fps):
    job = service.submit(task=task, frame_num=13, size="64*128")
    assert (job["status"], job["progress"], job["video_path"]) == ("queued", 0, f"/videos/{job['id']}.mp4")
    done = service.finished(job["id"])
    assert (done["status"], done["progress"], done["error"]) == ("completed", 100, None)
    assert probe(service.video(done), tmp_path) == VideoInfo(64, 128, 13, fps, "h264", "yuv420p")
    assert done["metrics"]["denoise_seconds"] > 0


def test_a_seed_gives_the_same_bytes_again_and_another_seed_other_ones(service):
    jobs = [service.submit(base_seed=seed)["id"] for seed in (7, 8, 7)]
    first, other, again = (service.video(service.finished(job_id)) for job_id in jobs)
    assert first == again
    assert first != other


def test_a_drawn_seed_is_told_and_gives_the_same_video_again(service):
    drawn = service.finished(service.submit(base_seed=-1)["id"])
    seed = drawn["request"]["base_seed"]
    assert seed >= 0
    again = service.finished(service.submit(base_seed=seed)["id"])
    assert service.video(again) == service.video(drawn)


def test_a_browser_can_seek_in_a_video(service):
    done = service.finished(service.submit()["id"])
    whole = service.video(done)
    part = service.client.get(done["video_path"], headers={"Range": "bytes=100-199"})
    assert (part.status_code, part.content) == (206, whole[100:200])
    assert part.headers["content-range"] == f"bytes 100-199/{len(whole)}"
    beyond = service.client.get(done["video_path"], headers={"Range": f"bytes={len(whole)}-"})
    assert beyond.status_code == 416


def test_a_running_job_can_be_cancelled_and_the_worker_goes_on(service):
    long = service.submit(size="832*480", frame_num=81, sample_steps=100)
    service.wait(long["id"], lambda job: job["step"] > 0)
    service.client.post(f"/jobs/{long['id']}/cancel").raise_for_status()
    assert service.finished(long["id"])["status"] == "cancelled"
    assert service.client.get(long["video_path"]).status_code == 404
    assert service.finished(service.submit()["id"])["status"] == "completed"


def test_a_post_that_prefers_to_wait_answers_with_the_finished_job(service):
    answer = service.client.post(
        "/generate/text-to-video",
        json={"prompt": "a cat", "size": "128*64", "frame_num": 5, "sample_steps": 2},
        headers={"Prefer": "wait=60"},
    )
    assert answer.status_code == 200
    assert answer.json()["status"] == "completed"


def test_a_deleted_video_is_gone(service):
    done = service.finished(service.submit()["id"])
    assert service.client.delete(done["video_path"]).status_code == 204
    assert service.client.get(done["video_path"]).status_code == 404
    assert service.client.get(f"/jobs/{done['id']}").status_code == 404


def test_the_same_path_runs_on_a_bucket_and_a_redis_of_ones_own(rclone_s3, tmp_path):
    with (
        EmbeddedRedis(tmp_path / "elsewhere") as redis,
        running_service(tmp_path / "data", REDIS_URL=redis.url, **rclone_s3.environment) as service,
    ):
        done = service.finished(service.submit()["id"])
        assert probe(service.video(done), tmp_path).frames == 17
        stored = [artifact.key for artifact in rclone_s3.store().find(f"{done['id']}/")]
        assert stored == [f"{done['id']}/1.mp4"]
        assert not (tmp_path / "data" / "artifacts").exists()


def test_a_restart_finds_every_job_again_and_goes_on_with_the_one_it_cut_short(tmp_path):
    with running_service(tmp_path / "data") as service:
        done = service.finished(service.submit()["id"])
        running = service.submit(size="832*480", frame_num=33, sample_steps=100)
        service.wait(running["id"], lambda job: job["step"] > 0)
    with running_service(tmp_path / "data") as service:
        assert service.job(done["id"])["status"] == "completed"
        assert service.video(done)
        again = service.wait(running["id"], lambda job: job["attempt"] > 1)
        assert again["status"] == "in_progress"
        service.client.post(f"/jobs/{running['id']}/cancel").raise_for_status()
        assert service.finished(running["id"])["status"] == "cancelled"


def test_the_demo_makes_a_video_says_so_and_can_be_stopped(tmp_path):
    environment = os.environ | {
        "DATA_DIR": str(tmp_path / "data"),
        "PORT": str(free_port()),
        "COLUMNS": "200",
    }

    def run(script: str) -> str:
        command = [sys.executable, "-m", f"scripts.{script}"]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout

    try:
        printed = run("demo")
        file = next(Path(line.split()[-1]) for line in printed.splitlines() if line.startswith("Video"))
        assert probe_mp4(file) == VideoInfo(256, 128, 17, 16.0, "h264", "yuv420p")
        assert "256*128, 17 frames, 16 fps" in printed
        assert "noise" in printed
    finally:
        stopped = run("stop")
    assert "Stopped" in stopped
    assert "Nothing to stop" in run("stop")


@contextmanager
def started(script: str, data_dir: Path) -> Iterator[subprocess.Popen[str]]:
    """A script as a terminal runs it: in a process group of its own, which Ctrl-C goes to."""
    with subprocess.Popen(
        [sys.executable, "-m", f"scripts.{script}"],
        env=os.environ | {"DATA_DIR": str(data_dir), "PORT": str(free_port()), "MODELS_DIR": ""},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            yield process
        finally:
            process.terminate()


def ctrl_c(process: subprocess.Popen[str], data_dir: Path) -> None:
    os.killpg(process.pid, signal.SIGINT)


def make_stop(process: subprocess.Popen[str], data_dir: Path) -> None:
    command = [sys.executable, "-m", "scripts.stop"]
    environment = os.environ | {"DATA_DIR": str(data_dir)}
    stopped = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert "Stopped http" in stopped.stdout


@pytest.mark.parametrize("stop", [ctrl_c, make_stop])
def test_a_service_that_still_builds_its_tiny_models_is_stopped_quietly(tmp_path, stop):
    with started("serve", tmp_path / "data") as process:
        assert process.stdout
        assert any(
            line.startswith("Built a tiny ") for line in process.stdout
        )  # others are still to be built
        stop(process, tmp_path / "data")
        told = process.stdout.read()  # to its end: the builder holds it too
        assert process.wait() == 0
    assert "Traceback" not in told
    assert "critical" not in told.lower()
    models = tmp_path / "data" / "models" / "wan"
    assert all(installed_model(models.parent, built.name) for built in models.iterdir())
    assert running_from(tmp_path / "data") is None


def test_ctrl_c_on_a_demo_stops_the_service_that_it_still_waits_for(tmp_path):
    with started("demo", tmp_path / "data") as process:
        while running_from(tmp_path / "data") is None:
            assert process.poll() is None
            time.sleep(0.05)
        ctrl_c(process, tmp_path / "data")
        told, _ = process.communicate()
    assert process.returncode == 1
    assert told == "The service was still starting, and is stopped again.\n"
    assert running_from(tmp_path / "data") is None
    assert "Traceback" not in (tmp_path / "data" / "serve.log").read_text()


def test_it_says_that_it_listens_once_it_does(service, tmp_path):
    models = service.log.with_suffix("") / "models"
    places = {"DATA_DIR": str(tmp_path / "data"), "PORT": str(free_port()), "MODELS_DIR": str(models)}
    command = [sys.executable, "-m", "scripts.serve"]
    with subprocess.Popen(
        command, env=os.environ | places, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout
        try:
            address = next(line.split()[-1] for line in process.stdout if "listens on" in line)
            assert httpx.get(f"{address}/health/live").json() == {"status": "ok"}
        finally:
            process.terminate()
            process.stdout.read()
    assert process.returncode == 0


def test_a_start_warns_once_of_what_matters_and_of_nothing_else(tmp_path):
    with running_service(tmp_path / "data") as service:
        log = service.log.read_text()
    warnings = [line for line in log.splitlines() if '"level": "warning"' in line]
    assert len(warnings) == 1
    assert "No API keys: serving this machine alone" in warnings[0]
    told = [line for line in log.splitlines() if not line.startswith("{")]
    assert all(line.startswith(("wanserve ", "Built a tiny ")) for line in told), told


def test_where_one_runs_already_the_demo_says_where_and_another_is_refused(service):
    data_dir = service.log.with_suffix("")
    environment = os.environ | {"DATA_DIR": str(data_dir), "PORT": str(free_port())}

    def run(script: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", f"scripts.{script}"]
        return subprocess.run(
            command, env=environment, capture_output=True, text=True, check=False, timeout=120
        )

    demo, serve = run("demo"), run("serve")
    assert f"runs already, on {service.address}, and makes the video" in demo.stdout
    assert f"stop it first: DATA_DIR={data_dir} make stop" in demo.stdout
    assert f"Service    {service.address} " in demo.stdout
    assert serve.returncode == 1
    assert (
        f"runs already, on {service.address}. Stop it first (DATA_DIR={data_dir} make stop)" in serve.stderr
    )


def test_a_taken_port_is_named_before_anything_starts(service: Service, tmp_path):
    port = service.address.rsplit(":", 1)[1]
    environment = os.environ | {"DATA_DIR": str(tmp_path / "data"), "PORT": port}
    command = [sys.executable, "-m", "scripts.serve"]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert ended.returncode == 1
    assert f"127.0.0.1:{port}" in ended.stderr


@pytest.mark.parametrize(
    ("setting", "below", "use"),
    [
        ("METRICS_PORT", 0, "the gateway's metrics"),
        ("METRICS_PORT", 1, "the workers' metrics, one above the gateway's"),
        ("FLOWER_PORT", 0, "Flower"),
    ],
)
def test_nothing_starts_where_a_port_of_whatever_it_runs_is_taken(taken, tmp_path, setting, below, use):
    ports = {"PORT": str(free_port()), setting: str(taken - below)}
    ended = subprocess.run(
        [sys.executable, "-m", "scripts.serve"],
        env=os.environ | {"DATA_DIR": str(tmp_path / "data")} | ports,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    line = f"Cannot listen on 127.0.0.1:{taken} for {use} (Address already in use): set another {setting}."
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.splitlines()[-1] == line
