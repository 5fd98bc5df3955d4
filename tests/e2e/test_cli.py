"""The command line, run as a user runs it, against the whole service."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.conftest import Service, free_port
from tests.unit.worker_parts import until
from wan_models.options import MAGNITUDES
from wan_models.pipelines.tiny import build_tiny
from wan_models.pipelines.video import probe_mp4

pytestmark = pytest.mark.slow

SMALL = ("--size", "64*64", "--frames", "5", "--steps", "3", "--seed", "1")


def wanserve(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "scripts.cli", *words],
        env=os.environ | {"COLUMNS": "200"} | environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.fixture
def cli(service: Service):
    """The command line, pointed at the running service."""

    def run(*words: str) -> str:
        done = wanserve(*words, WANSERVE_URL=service.address)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    return run


def test_a_prompt_becomes_a_file(cli, tmp_path):
    file = tmp_path / "out.mp4"
    assert cli("generate", "a cat", *SMALL, "-o", str(file)) == str(file)
    assert probe_mp4(file).frames == 5


def test_a_job_is_submitted_listed_watched_and_cannot_be_cancelled_afterwards(cli, service):
    job_id = cli("generate", "a cat", *SMALL)
    assert cli("watch", job_id).endswith(f"/videos/{job_id}.mp4")
    listed = json.loads(cli("jobs", "--json", "--status", "completed"))
    assert job_id in {job["id"] for job in listed}
    assert job_id in cli("jobs")
    assert job_id in wanserve("jobs", WANSERVE_URL=service.address, COLUMNS="80").stdout
    log = cli("logs", job_id).splitlines()
    assert log[0].endswith("  Queued")
    assert "Attempt 1 begins at worker cpu@" in log[1]
    assert "  Completed, " in log[-1]
    late = wanserve("cancel", job_id, WANSERVE_URL=service.address)
    assert late.returncode == 1
    assert "completed" in late.stderr


def test_a_job_that_is_not_there_is_told_of_without_a_bar(service):
    refused = wanserve("watch", "job_01m841tz79b74c3p14bqd55sfm", WANSERVE_URL=service.address)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr == "Error: There is no job job_01m841tz79b74c3p14bqd55sfm.\n"


@pytest.mark.parametrize("command", ["watch", "logs", "cancel"])
def test_what_is_no_id_is_refused_in_a_sentence(service, command):
    refused = wanserve(command, "../health", WANSERVE_URL=service.address)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr.startswith("Error: ")


def test_a_running_job_is_cancelled(cli, service):
    job_id = cli("generate", "a cat", "--size", "256*128", "--steps", "100")
    assert job_id in cli("cancel", job_id)
    assert service.finished(job_id)["status"] == "cancelled"


def test_a_video_that_could_not_be_saved_or_waited_for_is_not_made(service, tmp_path):
    before = service.client.get("/jobs").json()["jobs"][:1]
    for words in (
        ("-o", str(tmp_path / "nowhere" / "out.mp4")),
        ("--no-wait", "-o", str(tmp_path / "out.mp4")),
    ):
        refused = wanserve("generate", "a cat", *SMALL, *words, WANSERVE_URL=service.address)
        assert refused.returncode == 2
        assert "Error" in refused.stderr
    assert service.client.get("/jobs").json()["jobs"][:1] == before


def test_the_commands_of_operators_name_themselves_as_they_were_called():
    for group in ("keys", "tenants"):
        assert f"usage: wanserve {group}" in wanserve(group, "--help").stdout


def test_models_are_listed(cli):
    assert "t2v-A14B" in cli("models")
    assert {model["id"] for model in json.loads(cli("models", "--json"))} >= {"t2v-A14B", "ti2v-5B"}


def test_a_refusal_is_told_in_the_words_of_the_service(service):
    refused = wanserve("generate", "a cat", "--frames", "6", WANSERVE_URL=service.address)
    assert refused.returncode == 1
    assert "Nearest valid: 5 and 9" in refused.stderr


def test_a_service_that_is_not_there_is_told_of_with_what_to_do():
    absent = wanserve("jobs", WANSERVE_URL=f"http://127.0.0.1:{free_port()}")
    assert absent.returncode == 1
    assert "wanserve up" in absent.stderr


def test_a_drained_worker_takes_no_job_until_it_is_resumed(cli, service):
    data_dir = str(service.log.with_suffix(""))
    listed = wanserve("workers", "list", DATA_DIR=data_dir).stdout
    name = next(word for word in listed.split() if word.startswith("cpu@"))
    assert " yes " in listed
    assert wanserve("workers", "drain", name, DATA_DIR=data_dir).returncode == 0
    try:
        assert " drained " in wanserve("workers", "list", DATA_DIR=data_dir).stdout
        until(lambda: set(workers_of(service).values()) == {0})
        job_id = cli("generate", "a cat", *SMALL, "--priority", "high")
        assert service.job(job_id)["status"] == "queued"
    finally:
        assert wanserve("workers", "resume", name, DATA_DIR=data_dir).returncode == 0
    assert service.finished(job_id)["status"] == "completed"
    until(lambda: 0 not in workers_of(service).values())


def workers_of(service: Service) -> dict[str, int]:
    """How many workers take jobs, by task, as the gateway tells."""
    workers: dict[str, int] = service.client.get("/health").raise_for_status().json()["workers"]
    return workers


def test_the_doctor_finds_nothing_wrong_with_a_running_service(service):
    port = service.address.rpartition(":")[2]
    well = wanserve("doctor", DATA_DIR=str(service.log.with_suffix("")), PORT=port)
    assert well.returncode == 0, well.stdout
    assert "Nothing is in the way." in well.stdout


def test_the_doctor_names_each_fault_of_a_broken_setup(tmp_path: Path):
    broken = wanserve(
        "doctor",
        REDIS_URL=f"redis://127.0.0.1:{free_port()}",
        S3_ENDPOINT=f"http://127.0.0.1:{free_port()}",
        S3_BUCKET="videos",
        S3_ACCESS_KEY="a",
        S3_SECRET_KEY="b",
        DATA_DIR=str(tmp_path),
        HOST="192.0.2.1",
        OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{free_port()}",
    )
    assert broken.returncode == 1
    for part in ("redis", "artifacts", "models", "port 8004"):
        assert f"FAIL {part}" in broken.stdout, broken.stdout
    assert "FAIL traces" in broken.stdout
    assert "5 of these need mending" in broken.stderr
    assert "ok   speech     eSpeak NG speaks texts" in broken.stdout  # by the library of the wheel


def test_the_doctor_tells_what_the_workers_settings_will_not_do(tmp_path: Path):
    folder = tmp_path / "models" / "wan"
    for task in ("animate-14B", "ti2v-5B"):
        build_tiny(task, tmp_path / "models")
    settings = {"DATA_DIR": str(tmp_path), "CONTEXT_PARALLEL": "2", "STEP_CACHE": "magcache"}
    told = wanserve("doctor", **settings).stdout
    assert "note speed      animate-14B cannot be shared among GPUs" in told
    assert "note speed      ti2v-5B runs without magcache until it is measured" in told
    (folder / "ti2v-5B" / MAGNITUDES).write_text("{}")
    assert "ti2v-5B runs without" not in wanserve("doctor", **settings).stdout


def test_the_doctor_explains_settings_that_cannot_be_read(tmp_path: Path):
    wrong = wanserve("doctor", LEASE_SECONDS="soon")
    assert wrong.returncode == 1
    assert "LEASE_SECONDS" in wrong.stderr
    worker = wanserve("doctor", STEP_CACHE="all", DATA_DIR=str(tmp_path))
    assert "STEP_CACHE" in worker.stdout
