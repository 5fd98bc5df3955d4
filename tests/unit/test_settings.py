"""Settings: what the environment says, what is refused, and which stores come of it."""

from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError

from jobs.artifacts_local import LocalArtifactStore
from jobs.connect import open_artifacts
from jobs.embedded import EmbeddedRedis
from jobs.policy import Policy
from jobs.settings import JobsSettings, explain, load_settings

BUCKET = {
    "S3_ENDPOINT": "https://s3.example.com:9000",
    "S3_BUCKET": "videos",
    "S3_REGION": "eu-central-1",
    "S3_ACCESS_KEY": "the-access-key",
    "S3_SECRET_KEY": "the-secret-key",
}


@pytest.fixture(autouse=True)
def no_variables(monkeypatch) -> None:
    """Nothing of the developer's own environment."""
    for name in JobsSettings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def read(monkeypatch):
    """The settings under an environment."""

    def _read(**variables: str) -> JobsSettings:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        return JobsSettings()

    return _read


def complaint(read, **variables: str) -> str:
    with pytest.raises(ValidationError) as caught:
        read(**variables)
    return explain(caught.value)


def test_nothing_needs_to_be_set(read):
    settings = read()
    assert settings.data_dir == Path.cwd() / ".wanserve"
    assert settings.redis_address == EmbeddedRedis(Path(".wanserve/redis")).url
    assert settings.policy == Policy(lease_seconds=30, max_attempts=3, retention_seconds=604800)
    assert settings.log_level == "INFO"
    assert isinstance(open_artifacts(settings), LocalArtifactStore)


def test_every_field_is_read_from_the_variable_of_its_name(read):
    settings = read(
        **BUCKET,
        DATA_DIR="/data",
        REDIS_URL="rediss://:pass%2Fword@redis:6380/1",
        LEASE_SECONDS="45.5",
        MAX_ATTEMPTS="5",
        TENANT_MAX_QUEUED="200",
        TENANT_MAX_IN_PROGRESS="4",
        RETENTION_SECONDS="60",
        UPLOAD_SECONDS="120",
        DISK_RESERVE_GB="2.5",
        METRICS_PORT="9404",
        METRICS_HOST="0.0.0.0",
        LOG_LEVEL="debug",
        LOG_FORMAT="json",
        LOG_DIR="/app/logs",
        LOG_PROMPTS="true",
        PUBLIC_URL="https://videos.example",
        WEBHOOK_PRIVATE_HOSTS="Hooks.internal, 10.0.0.7",
    )
    assert settings.model_dump() == {
        "data_dir": Path("/data"),
        "redis_url": "rediss://:pass%2Fword@redis:6380/1",
        "s3_endpoint": "https://s3.example.com:9000",
        "s3_bucket": "videos",
        "s3_region": "eu-central-1",
        "s3_access_key": SecretStr("the-access-key"),
        "s3_secret_key": SecretStr("the-secret-key"),
        "lease_seconds": 45.5,
        "max_attempts": 5,
        "tenant_max_queued": 200,
        "tenant_max_in_progress": 4,
        "retention_seconds": 60,
        "upload_seconds": 120,
        "disk_reserve_gb": 2.5,
        "metrics_port": 9404,
        "metrics_host": "0.0.0.0",
        "log_level": "DEBUG",
        "log_format": "json",
        "log_dir": Path("/app/logs"),
        "log_prompts": True,
        "public_url": "https://videos.example",
        "webhook_private_hosts": "Hooks.internal, 10.0.0.7",
    }
    assert settings.redis_address == "rediss://:pass%2Fword@redis:6380/1"


def test_a_value_may_lie_in_a_file(read, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("the-secret-key\n")
    settings = read(**{**BUCKET, "S3_SECRET_KEY": "", "S3_SECRET_KEY_FILE": str(secret)})
    assert settings.s3_secret_key == SecretStr("the-secret-key")


def test_a_file_that_cannot_be_read_is_named(read, tmp_path):
    said = complaint(read, REDIS_URL_FILE=str(tmp_path / "none"), LOG_LEVEL_FILE=str(tmp_path))
    assert f"REDIS_URL_FILE: The file {tmp_path}/none cannot be read: No such file or directory." in said
    assert "LOG_LEVEL_FILE: " in said


def test_a_file_that_holds_no_text_is_refused(read, tmp_path):
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    said = complaint(read, REDIS_URL_FILE=str(tmp_path / "binary"))
    assert "REDIS_URL_FILE: " in said
    assert "no text" in said


def test_a_setting_is_given_in_one_way(read, tmp_path):
    (tmp_path / "url").write_text("redis://:sec@other")
    said = complaint(read, REDIS_URL="redis://:sec@host", REDIS_URL_FILE=str(tmp_path / "url"))
    assert "REDIS_URL_FILE: It is set beside REDIS_URL; set one of the two." in said
    assert "sec@" not in said


def test_a_wrong_value_in_a_file_is_named_by_its_setting_and_not_repeated(read, tmp_path):
    (tmp_path / "url").write_text("redis://:sec/ret@host")
    said = complaint(read, REDIS_URL_FILE=str(tmp_path / "url"))
    assert "REDIS_URL: This is no Redis address" in said
    assert "sec/ret" not in said


def test_an_empty_variable_counts_as_unset(read):
    assert read(**dict.fromkeys(map(str.upper, JobsSettings.model_fields), "")) == read()


def test_the_home_directory_may_be_written_as_a_tilde(read, monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    assert read(DATA_DIR="~/videos").data_dir == Path("/home/me/videos")


def test_settings_do_not_change(read):
    settings = read()
    with pytest.raises(ValidationError):
        settings.max_attempts = 9


def test_secrets_do_not_show(read):
    shown = repr(read(**BUCKET, REDIS_URL="redis://:redis-password@host"))
    assert "videos" in shown
    assert not any(secret in shown for secret in ("the-access-key", "the-secret-key", "redis-password"))


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"LEASE_SECONDS": "0"}, "LEASE_SECONDS: Input should be greater than or equal to 1"),
        ({"LEASE_SECONDS": "3601"}, "LEASE_SECONDS: Input should be less than or equal to 3600"),
        ({"LEASE_SECONDS": "soon"}, "LEASE_SECONDS: Input should be a valid number"),
        ({"LEASE_SECONDS": "nan"}, "LEASE_SECONDS: Input should be"),
        ({"MAX_ATTEMPTS": "0"}, "MAX_ATTEMPTS: Input should be greater than or equal to 1"),
        ({"MAX_ATTEMPTS": "101"}, "MAX_ATTEMPTS: Input should be less than or equal to 100"),
        ({"MAX_ATTEMPTS": "2.5"}, "MAX_ATTEMPTS: Input should be a valid integer"),
        ({"RETENTION_SECONDS": "0"}, "RETENTION_SECONDS: Input should be greater than or equal to 1"),
        ({"RETENTION_SECONDS": "inf"}, "RETENTION_SECONDS: Input should be"),
        ({"LOG_LEVEL": "loud"}, "LOG_LEVEL: Input should be 'DEBUG', 'INFO', 'WARNING' or 'ERROR'"),
        ({"REDIS_URL": "http://host"}, "REDIS_URL: This is no Redis address, such as redis://host:6379/0"),
        ({"REDIS_URL": "redis://:sec/ret@host"}, "REDIS_URL: This is no Redis address"),
        ({"S3_BUCKET": "a/b"}, "S3_BUCKET: String should match pattern"),
        ({**BUCKET, "S3_ENDPOINT": "s3.example.com"}, "S3_ENDPOINT: This is no address of a server"),
        ({**BUCKET, "S3_ENDPOINT": "https://a:sec@b"}, "S3_ENDPOINT: This is no address of a server"),
        ({"S3_ENDPOINT": "http://minio:9000"}, "S3_ENDPOINT: It needs S3_BUCKET as well"),
        ({"S3_ACCESS_KEY": "k"}, "S3_SECRET_KEY: It comes together with S3_ACCESS_KEY"),
        ({"S3_SECRET_KEY": "sec"}, "S3_SECRET_KEY: It comes together with S3_ACCESS_KEY"),
    ],
)
def test_a_wrong_variable_is_named_with_the_reason_and_without_its_value(read, variables, expected):
    first, fault, last = complaint(read, **variables).splitlines()
    assert first == "The configuration cannot be used:"
    assert fault.startswith(f"  {expected}")
    assert "sec" not in fault.replace("SECONDS", "").replace("SECRET", "")
    assert "docs/settings.md" in last


def test_every_wrong_variable_is_named_at_once(read):
    said = complaint(read, MAX_ATTEMPTS="x", LOG_LEVEL="y", REDIS_URL="z")
    assert [line.split(":")[0].strip() for line in said.splitlines()[1:-1]] == [
        "LOG_LEVEL", "REDIS_URL", "MAX_ATTEMPTS",
    ]  # fmt: skip


def test_a_process_with_wrong_settings_ends_with_the_explanation(monkeypatch):
    monkeypatch.setenv("MAX_ATTEMPTS", "0")
    with pytest.raises(SystemExit, match="MAX_ATTEMPTS: Input should be greater"):
        load_settings(JobsSettings)


def test_artifacts_lie_below_the_data_directory(read, tmp_path):
    (tmp_path / "video.mp4").write_bytes(b"video")
    open_artifacts(read(DATA_DIR=str(tmp_path / "data"))).put("job/1.mp4", tmp_path / "video.mp4")
    assert (tmp_path / "data" / "artifacts" / "job" / "1.mp4").read_bytes() == b"video"


def test_artifacts_lie_in_the_bucket_that_the_environment_names(read):
    url = open_artifacts(read(**BUCKET)).presign("job/1.mp4", 60)
    assert url
    assert url.startswith("https://s3.example.com:9000/videos/job/1.mp4?")
    assert "the-access-key%2F" in url
    assert "%2Feu-central-1%2F" in url


def test_without_keys_the_bucket_is_opened_with_those_of_the_aws_environment(read, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "role-key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "role-secret")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "role-token")
    url = open_artifacts(read(S3_BUCKET="videos")).presign("job/1.mp4", 60)
    assert url
    assert "role-key%2F" in url
    assert "X-Amz-Security-Token=role-token" in url
