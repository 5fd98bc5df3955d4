"""What the gateway reads from the environment. docs/settings.md lists every field."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from jobs.settings import JobsSettings


class GatewaySettings(JobsSettings):
    """The settings of a gateway process."""

    host: str = Field("127.0.0.1", description="Address to listen on; 0.0.0.0 for every one of IPv4.")
    port: int = Field(8004, ge=0, le=65535, description="Port to listen on; 0 takes any free one.")
    public_url: str | None = Field(
        None,
        pattern=r"^https?://[^\s/?#]+(/[^\s?#]*[^\s/?#])?$",
        description="What absolute links begin with, no slash at the end. Unset: the address of the request.",
    )
    models_dir: Path | None = Field(
        None, description="Directory that holds `wan/<task>/`. Unset: tiny models below `DATA_DIR`."
    )

    @property
    def models_path(self) -> Path:
        """Where the models are."""
        return self.models_dir or self.data_dir / "models"
