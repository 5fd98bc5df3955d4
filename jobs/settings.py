"""Where jobs and artifacts are kept, read once from the environment. docs/settings.md lists every field."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Literal, TypeVar

from pydantic import AliasChoices, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from jobs.embedded import EmbeddedRedis
from jobs.policy import Policy

S = TypeVar("S", bound="JobsSettings")
LogLevel = Literal["DEBUG", "INFO", "WARNING", "ERROR"]


class JobsSettings(BaseSettings):
    """What every process needs to know. An empty variable counts as unset."""

    model_config = SettingsConfigDict(
        frozen=True, env_ignore_empty=True, extra="ignore", populate_by_name=True
    )

    data_dir: Path = Field(
        Path(".wanserve"),
        description="Directory of everything embedded: Redis data, artifacts, tiny models, logs.",
    )
    redis_url: str | None = Field(
        None,
        pattern=r"^(redis|rediss|unix)://",
        description="Redis 6.2 or newer for the jobs and their messages. Unset: the embedded one.",
    )
    s3_bucket: str | None = Field(
        None, description="Bucket that keeps the videos. Unset: the directory `artifacts` below `DATA_DIR`."
    )
    s3_endpoint: str | None = Field(
        None, pattern=r"^https?://", description="Address of an S3-compatible server. Unset: Amazon's."
    )
    s3_region: str = Field("us-east-1", description="Region that requests to the bucket are signed for.")
    s3_access_key: SecretStr | None = Field(
        None,
        validation_alias=AliasChoices("S3_ACCESS_KEY", "AWS_ACCESS_KEY_ID"),
        description="Access key id of the bucket. Unset: what the AWS environment offers, such as a role.",
    )
    s3_secret_key: SecretStr | None = Field(
        None,
        validation_alias=AliasChoices("S3_SECRET_KEY", "AWS_SECRET_ACCESS_KEY"),
        description="Secret key that belongs to it.",
    )
    lease_seconds: float = Field(
        30, ge=1, le=3600, description="How long a worker may be silent before its job goes to another."
    )
    max_attempts: int = Field(3, ge=1, le=100, description="Attempts that may die before the job fails.")
    retention_seconds: float = Field(
        7 * 24 * 3600, ge=1, description="How long a finished job and its video are kept."
    )
    log_level: LogLevel = Field("INFO", description="DEBUG, INFO, WARNING or ERROR.")

    @property
    def redis_directory(self) -> Path:
        """Where the embedded Redis keeps its data."""
        return self.data_dir / "redis"

    @property
    def redis_address(self) -> str:
        """The Redis to use: the configured one, or the embedded one of ``data_dir``."""
        return self.redis_url or EmbeddedRedis(self.redis_directory).url

    @property
    def policy(self) -> Policy:
        """The part of the settings that the job store goes by."""
        return Policy(
            lease_seconds=self.lease_seconds,
            max_attempts=self.max_attempts,
            retention_seconds=self.retention_seconds,
        )


def load_settings(kind: type[S]) -> S:
    """Read a process's settings, or end the process with a message that names what is wrong."""
    try:
        return kind()
    except ValidationError as error:
        sys.exit(explain(error))


def explain(error: ValidationError) -> str:
    """Say in a few lines which environment variables are wrong and why, without repeating their values."""
    lines = [f"  {_variable(fault['loc'])}: {fault['msg']}" for fault in error.errors()]
    return "\n".join(
        ["The configuration cannot be used:", *lines, "docs/settings.md describes every variable."]
    )


def _variable(location: tuple[int | str, ...]) -> str:
    return str(location[0]).upper() if location else "environment"
