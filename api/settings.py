"""What the gateway reads from the environment. docs/settings.md lists every field."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field

from api.deadlines import Deadlines, seconds_by_task
from jobs.limits import Limits
from jobs.settings import JobsSettings
from routing.settings import NeighbourSettings

_ORIGIN = r"https?://[^\s,/?#*]+"


def _check_seconds(text: str | None) -> str | None:
    seconds_by_task(text)
    return text


SecondsByTask = Annotated[str | None, AfterValidator(_check_seconds)]


class GatewaySettings(JobsSettings, NeighbourSettings):
    """The settings of a gateway process."""

    host: str = Field("127.0.0.1", description="Address to listen on; 0.0.0.0 for every one of IPv4.")
    port: int = Field(8004, ge=0, le=65535, description="Port to listen on; 0 takes any free one.")
    allow_anonymous: bool = Field(
        default=False,
        description="Serve whoever comes without an API key. Unset: this machine alone, until a key is made.",
    )
    cors_origins: str | None = Field(
        None,
        pattern=rf"^(\*|{_ORIGIN}(, *{_ORIGIN})*)$",
        description="Origins, with commas between, whose pages may call from browsers, or `*`. Unset: none.",
    )
    requests_per_minute: int | None = Field(
        None, ge=1, description="Requests that each key may make, unless its tenant has a limit of its own."
    )
    gpu_seconds_per_day: float | None = Field(
        None, ge=0, description="GPU time that each tenant may use, unless it has a limit of its own."
    )
    redirect_downloads: bool = Field(
        default=False,
        description="Send `/v1/videos/{id}/content` on to the bucket, where clients can reach it.",
    )
    queue_length: int = Field(
        10_000, ge=1, description="Jobs that each queue may hold; further ones are refused."
    )
    job_expires_in: SecondsByTask = Field(
        None,
        description="How long a job may wait: seconds, or task=seconds with commas. Unset: the catalog's.",
    )
    job_timeout: SecondsByTask = Field(
        None, description="How long one attempt may take, in the same way. Unset: the catalog's."
    )
    models_dir: Path | None = Field(
        None, description="Directory that holds `wan/<task>/`. Unset: tiny models below `DATA_DIR`."
    )
    engines: Path | None = Field(
        None, description="File of the tasks that other servers make the videos of. Unset: none."
    )
    loras_dir: Path | None = Field(
        None, description="Directory of LoRA adapters with their catalog `loras.toml`. Unset: there are none."
    )

    tts_url: str | None = Field(
        None,
        pattern=r"^https?://[^\s/?#@]+(/[^\s?#]*)?$",
        description="Service with OpenAI's `/v1/audio/speech` that speaks texts. Unset: eSpeak NG.",
    )
    inputs_dir: Path | None = Field(
        None, description="The one folder that requests may name input files in. Unset: no paths at all."
    )
    max_upload_bytes: int = Field(
        256 * 1024 * 1024,
        ge=1024,
        le=64 * 1024**3,
        description="Largest input file, and largest request with files, in bytes.",
    )
    body_seconds: float = Field(
        60,
        ge=0.1,
        le=3600,
        description="How long a request's body may take; each 64 KiB that came add a second.",
    )
    input_url_seconds: float = Field(
        60, ge=0.1, le=3600, description="How long fetching an input from a URL may take."
    )
    input_private_hosts: str | None = Field(
        None,
        description="Private hosts, with commas between, that inputs may come from: on any port, TLS or not.",
    )

    @property
    def limits(self) -> Limits:
        """What tenants without limits of their own may use."""
        return Limits(
            requests_per_minute=self.requests_per_minute, gpu_seconds_per_day=self.gpu_seconds_per_day
        )

    @property
    def deadlines(self) -> Deadlines:
        """How long jobs may wait and run that do not say so themselves."""
        return Deadlines(seconds_by_task(self.job_expires_in), seconds_by_task(self.job_timeout))

    @property
    def origins(self) -> tuple[str, ...]:
        """The entries of ``cors_origins``."""
        return tuple(re.split(", *", self.cors_origins)) if self.cors_origins else ()

    @property
    def models_path(self) -> Path:
        """Where the models are."""
        return self.models_dir or self.data_dir / "models"
