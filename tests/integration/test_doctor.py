"""``wanserve doctor`` names each fault of a broken setup, and says what to do."""

import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from redis import Redis

from api.settings import GatewaySettings
from api.version import VERSION
from jobs.connect import open_keys
from jobs.embedded import EmbeddedRedis
from jobs.keys import Scope, create_key
from scripts.doctor.command import doctor
from tests.e2e.conftest import free_port
from tests.page_server import answering
from tests.servers import S3Account
from tests.small_disk import fill
from workers.settings import WorkerSettings

Doctor = Callable[..., Result]


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def examined(redis_url, tmp_path, monkeypatch, port) -> Doctor:
    """Looks at a setup that is well but for what a test makes of it."""
    for settings in (GatewaySettings, WorkerSettings):
        for name in settings.model_fields:
            monkeypatch.delenv(name.upper(), raising=False)
    with Redis.from_url(redis_url) as client:
        client.config_set("maxmemory-policy", "noeviction")

    def run(**variables: object) -> Result:
        usual = {"REDIS_URL": redis_url, "DATA_DIR": tmp_path / "data", "PORT": port}
        return CliRunner().invoke(
            doctor, env={name: str(value) for name, value in (usual | variables).items()}
        )

    return run


def faults(result: Result) -> list[str]:
    """What is wrong, but for the models, which hardly a test here installs, and the set-up of its Redis."""
    lines = [line for line in result.output.splitlines() if line.startswith("FAIL")]
    return [line for line in lines if "models     none in" not in line and "appendonly" not in line]


def fault(result: Result) -> str:
    assert result.exit_code == 1
    (one,) = faults(result)
    return one


def test_a_setup_that_is_well_has_none(examined):
    assert faults(examined()) == []


def test_where_no_service_was_started_it_says_so_and_makes_nothing(examined, tmp_path):
    nowhere = tmp_path / "nowhere"
    found = examined(DATA_DIR=nowhere, REDIS_URL="")
    assert found.exit_code == 0
    assert f"note data       no service was started from here: there is no {nowhere}." in found.output
    parts = {line.split()[1] for line in found.output.splitlines()}
    assert not parts & {"redis", "artifacts", "models", "workers"}
    assert not nowhere.exists()


def test_an_embedded_redis_that_does_not_run_is_told_of_with_its_directory(examined, tmp_path):
    assert f"starts the embedded one of {tmp_path}" in fault(examined(DATA_DIR=tmp_path, REDIS_URL=""))


def test_an_embedded_redis_that_hangs_is_told_of_with_its_process(examined, tmp_path):
    with EmbeddedRedis(tmp_path / "redis") as server:
        with Redis.from_url(server.url) as client:
            pid = client.info("server")["process_id"]
        os.kill(pid, signal.SIGSTOP)
        try:
            said = faults(examined(DATA_DIR=tmp_path, REDIS_URL=""))
        finally:
            os.kill(pid, signal.SIGCONT)
    assert any(f"runs (process {pid}) but does not answer" in one for one in said)


@pytest.mark.parametrize("place", ["/proc/1/nowhere", "/proc/nowhere", "a file"])
def test_a_data_directory_that_cannot_be_is_told_of_once(examined, tmp_path, place):
    (tmp_path / "a file").touch()
    assert "set another DATA_DIR" in fault(examined(DATA_DIR=tmp_path / place, REDIS_URL=""))


def test_redis_that_is_down_or_refuses_the_password(examined, redis_url):
    assert "Start it, or correct REDIS_URL" in fault(examined(REDIS_URL=f"redis://127.0.0.1:{free_port()}"))
    with Redis.from_url(redis_url) as client:
        client.config_set("requirepass", "hush")
        try:
            said = [fault(examined()), fault(examined(REDIS_URL=redis_url.replace("://", "://:wrong@")))]
        finally:
            client.config_set("requirepass", "")
    assert all("refuses the password of REDIS_URL, or wants one" in one for one in said)


def test_redis_that_may_evict_jobs_or_keeps_to_itself_whether_it_does(examined, redis_url, monkeypatch):
    with Redis.from_url(redis_url) as client:
        client.config_set("maxmemory-policy", "allkeys-lru")
        try:
            assert "set maxmemory-policy noeviction" in fault(examined())
        finally:
            client.config_set("maxmemory-policy", "noeviction")
    monkeypatch.setattr("scripts.doctor.stores._eviction_policy", lambda _: None)
    assert "note redis      does not tell its maxmemory-policy" in examined().output


def test_redis_of_another_time_and_an_old_one(examined, monkeypatch):
    monkeypatch.setattr("scripts.doctor.stores.time.time", lambda real=time.time: real() + 90)
    assert "this clock is 90 s off Redis's; run an NTP client" in fault(examined())
    monkeypatch.setattr("scripts.doctor.stores._OLDEST_REDIS", (99, 0))
    assert any("is too old; 7 or newer is needed" in one for one in faults(examined()))


def test_a_bucket_whose_keys_are_wrong_or_that_is_not_there(examined, rclone_s3: S3Account):
    account = rclone_s3.with_fresh_bucket()
    right = account.environment
    assert faults(examined(**right)) == []
    assert "Check S3_ACCESS_KEY, S3_SECRET_KEY" in fault(examined(**right | {"S3_SECRET_KEY": "wrong"}))
    assert "Create the bucket, or correct S3_BUCKET" in fault(examined(**right | {"S3_BUCKET": "nowhere"}))
    away = right | {"S3_ENDPOINT": f"http://127.0.0.1:{free_port()}"}
    assert "Check S3_ENDPOINT" in fault(examined(**away))


def test_a_disk_that_is_full_and_one_that_soon_will_be(examined, small_disk: Path):
    assert "8.4 MB" not in examined(DATA_DIR=small_disk).output
    assert "below DISK_RESERVE_GB (0) no work" in examined(DATA_DIR=small_disk, DISK_RESERVE_GB=0).output
    found = examined(DATA_DIR=small_disk, DISK_RESERVE_GB=0.1)
    assert "Make room, or lower DISK_RESERVE_GB" in fault(found)
    assert str(small_disk) in fault(found)
    fill(small_disk)
    assert any("artifacts" in one and "has space" in one for one in faults(examined(DATA_DIR=small_disk)))


def test_a_model_that_is_damaged(examined, tmp_path: Path):
    broken = tmp_path / "models" / "wan" / "ti2v-5B"
    broken.mkdir(parents=True)
    (broken / "model_index.json").write_text('{"vae": ["diffusers", "AutoencoderKLWan"]}')
    said = fault(examined(MODELS_DIR=tmp_path / "models"))
    assert "ti2v-5B is incomplete or damaged" in said
    assert "python scripts/download_wan_models.py --model ti2v-5B" in said


def test_no_model_at_all(examined, tmp_path):
    assert f"FAIL models     none in {tmp_path / 'empty'}" in examined(MODELS_DIR=tmp_path / "empty").output


def test_a_port_that_is_taken(examined, taken):
    assert "set another PORT" in fault(examined(PORT=taken))
    assert "set another METRICS_PORT" in fault(examined(METRICS_PORT=taken))
    assert f"port {taken} cannot be listened on at 127.0.0.1 for the workers' metrics" in fault(
        examined(METRICS_PORT=taken - 1)
    )
    assert "set another FLOWER_PORT" in fault(examined(FLOWER_PORT=taken))
    assert "set another METRICS_PORT" in fault(examined(PORT=(port := free_port()), METRICS_PORT=port))
    assert "ports end at 65535" in fault(examined(METRICS_PORT=65535))
    assert "Set FLOWER_BASIC_AUTH" in examined(FLOWER_PORT=free_port(), FLOWER_ADDRESS="0.0.0.0").output
    assert "Cannot assign" in fault(examined(HOST="192.0.2.1", ALLOW_ANONYMOUS=True))


@pytest.mark.parametrize(
    ("title", "version", "said"),
    [
        ("wanserve", VERSION, "ok   gateway"),
        ("wanserve", "0.0.1", "note gateway"),
        ("shop", "1", "shop answers there"),
    ],
)
def test_what_answers_on_the_port_is_this_service_in_this_version(examined, title, version, said):
    with answering(json.dumps({"info": {"title": title, "version": version}})) as port:
        assert said in examined(PORT=port).output


def test_another_program_on_the_port(examined):
    with answering("<html>") as port:
        assert "something else answers there" in fault(examined(PORT=port))


def test_a_gateway_that_would_not_start_for_want_of_keys(examined, redis_url):
    assert "Make one: wanserve keys create NAME" in fault(examined(HOST="0.0.0.0"))
    keys = open_keys(GatewaySettings(redis_url=redis_url))
    create_key(keys, name="app", tenant="default", scopes=frozenset({Scope.READ}), now=0)
    assert faults(examined(HOST="0.0.0.0")) == []


def test_files_that_cannot_be_read(examined, tmp_path):
    assert "ENGINES" in fault(examined(ENGINES=tmp_path / "nowhere.toml"))
    (tmp_path / "loras.toml").write_text("no catalog")
    assert "LORAS_DIR" in fault(examined(LORAS_DIR=tmp_path))


def test_folders_that_are_not_there_or_take_no_log(examined, tmp_path):
    assert "correct INPUTS_DIR" in fault(examined(INPUTS_DIR=tmp_path / "nowhere"))
    assert "correct LORAS_DIR" in fault(examined(LORAS_DIR=tmp_path / "nowhere"))
    assert "set another LOG_DIR" in fault(examined(LOG_DIR="/proc/nowhere"))
    assert faults(examined(INPUTS_DIR=tmp_path, LORAS_DIR=tmp_path, LOG_DIR=tmp_path / "new" / "log")) == []
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("variable", ["TTS_URL", "TTS_URLS", "VLLM_URLS", "STT_URLS", "MULTIMODAL_URLS"])
def test_services_of_others_that_do_not_answer(examined, variable):
    away = f"http://127.0.0.1:{free_port()}"
    with answering("<html>") as port:
        there = f"http://127.0.0.1:{port}"
        lone = variable == "TTS_URL"
        silent, well = (examined(**{variable: urls}) for urls in (away if lone else f"{there},{away}", there))
    assert f"{away} does not answer" in fault(silent)
    assert f"correct {variable}" in fault(silent)
    assert f"{there} of {variable} answers" in well.output


@pytest.mark.parametrize("name", ["LEASE_SECONDS", "DRAIN_SECONDS", "PORT"])
def test_settings_that_cannot_be_read_whoever_reads_them(examined, name):
    found = examined(**{name: "soon"})
    assert found.exit_code == 1
    assert name in found.output
