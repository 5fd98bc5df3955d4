"""Where jobs and artifacts are kept, read once from the environment. docs/settings.md lists every field."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Annotated, TypeVar

from pydantic import (
    AfterValidator,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource
from redis import Redis

from jobs.embedded import EmbeddedRedis
from jobs.policy import Caps, Policy
from jobs.secret_files import SecretFiles
from telemetry.settings import LogSettings

S = TypeVar("S", bound="JobsSettings")


def _check_redis_url(url: str) -> str:
    try:
        Redis.from_url(url).close()  # connects to nothing
    except ValueError:  # its text may quote a part of the password
        raise ValueError(
            "This is no Redis address, such as redis://host:6379/0, rediss://:password@host or "
            "unix:///path. In a password, write / as %2F, : as %3A and @ as %40."
        ) from None
    return url


def _check_s3_endpoint(url: str) -> str:
    # Credentials in it would show up in messages and in signed URLs.
    if not re.fullmatch(r"https?://[^\s/?#@]+(/[^\s?#]*)?", url):
        raise ValueError("This is no address of a server, such as https://s3.example.com:9000.")
    return url


class JobsSettings(LogSettings):
    """What every process needs to know. An empty variable counts as unset; NAME_FILE may stand for NAME."""

    @classmethod
    def settings_customise_sources(  # noqa: D102 - see pydantic-settings
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the base class passes it
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the same
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings, SecretFiles(settings_cls)

    data_dir: Annotated[Path, AfterValidator(lambda path: path.expanduser().absolute())] = Field(
        Path(".wanserve"),
        description="Directory of everything embedded: Redis data, artifacts, tiny models, logs.",
    )
    redis_url: Annotated[str, AfterValidator(_check_redis_url)] | None = Field(
        None,
        repr=False,  # it may hold a password
        description="Redis 7 or newer, or Valkey, for the jobs and their messages. Unset: the embedded one.",
    )
    s3_bucket: str | None = Field(
        None,
        pattern=r"^[A-Za-z0-9._-]{3,255}$",
        description="Bucket that keeps the videos. Unset: the directory `artifacts` below `DATA_DIR`.",
    )
    s3_endpoint: Annotated[str, AfterValidator(_check_s3_endpoint)] | None = Field(
        None, description="Address of an S3-compatible server. Unset: Amazon's."
    )
    s3_region: str = Field("us-east-1", description="Region that requests to the bucket are signed for.")
    s3_access_key: SecretStr | None = Field(
        None,
        description="Access key id of the bucket. Unset: what the AWS environment offers, such as a role.",
    )
    s3_secret_key: SecretStr | None = Field(
        None,
        description="Secret key that belongs to it.",
    )
    lease_seconds: float = Field(
        30, ge=1, le=3600, description="How long a worker may be silent before its job goes to another."
    )
    max_attempts: int = Field(3, ge=1, le=100, description="Attempts that may die before the job fails.")
    tenant_max_queued: int | None = Field(
        None, ge=1, description="Jobs that a tenant may have queued. Unset: any number."
    )
    tenant_max_in_progress: int | None = Field(
        None, ge=1, description="Jobs of a tenant that run at the same time. Unset: any number."
    )
    retention_seconds: float = Field(
        7 * 24 * 3600,
        ge=1,
        le=10 * 365 * 24 * 3600,
        description="How long a finished job and its video are kept.",
    )
    public_url: str | None = Field(
        None,
        pattern=r"^https?://[^\s/?#]+(/[^\s?#]*[^\s/?#])?$",
        description="What absolute links begin with, no slash at the end. Unset: the address of the request.",
    )
    webhook_private_hosts: str | None = Field(
        None,
        description="Private hosts, with commas between, that webhooks may lead to: on any port, TLS or not.",
    )
    upload_seconds: float = Field(
        24 * 3600, ge=60, le=7 * 24 * 3600, description="How long an upload is kept that waits to be used."
    )
    disk_reserve_gb: float = Field(
        1,
        ge=0,
        le=100_000,
        description="GB to stay free where files are written. With less, workers wait and files are refused.",
    )
    metrics_port: int | None = Field(
        None, ge=1, le=65535, description="Port that answers Prometheus under `/metrics`. Unset: none does."
    )
    metrics_host: str = Field("127.0.0.1", description="Address of that port; 0.0.0.0 for every one of IPv4.")

    @field_validator("s3_endpoint")
    @classmethod
    def _needs_a_bucket(cls, endpoint: str | None, read: ValidationInfo) -> str | None:
        if endpoint and read.data.get("s3_bucket", "") is None:
            raise ValueError("It needs S3_BUCKET as well, or neither of them.")
        return endpoint

    @field_validator("s3_secret_key")
    @classmethod
    def _needs_an_access_key(cls, secret: SecretStr | None, read: ValidationInfo) -> SecretStr | None:
        if (secret is None) != (read.data.get("s3_access_key") is None):
            raise ValueError("It comes together with S3_ACCESS_KEY, or neither is set.")
        return secret

    @property
    def redis_directory(self) -> Path:
        """Where the embedded Redis keeps its data."""
        return self.data_dir / "redis"

    @property
    def redis_address(self) -> str:
        """The Redis to use: the configured one, or the embedded one of ``data_dir``."""
        return self.redis_url or EmbeddedRedis(self.redis_directory).url

    @property
    def webhook_hosts(self) -> frozenset[str]:
        """The private hosts that webhooks may lead to."""
        names = (name.strip().lower() for name in (self.webhook_private_hosts or "").split(","))
        return frozenset(name for name in names if name)

    @property
    def policy(self) -> Policy:
        """The part of the settings that the job store goes by."""
        return Policy(
            lease_seconds=self.lease_seconds,
            worker_silence_seconds=max(60.0, self.lease_seconds),
            max_attempts=self.max_attempts,
            retention_seconds=self.retention_seconds,
            caps=Caps(queued=self.tenant_max_queued, in_progress=self.tenant_max_in_progress),
        )


def load_settings(kind: type[S]) -> S:
    """Read a process's settings, or end the process with a message that names what is wrong."""
    try:
        return kind()
    except ValidationError as error:
        sys.exit(explain(error))


def explain(error: ValidationError) -> str:
    """Say in a few lines which environment variables are wrong and why, without repeating their values."""
    lines = [
        f"  {_variable(fault['loc'])}: {fault['msg'].removeprefix('Value error, ')}"
        for fault in error.errors()
    ]
    return "\n".join(
        ["The configuration cannot be used:", *lines, "docs/settings.md describes every variable."]
    )


def _variable(location: tuple[int | str, ...]) -> str:
    return str(location[0]).upper() if location else "environment"
