"""How a process logs, read from the environment. docs/settings.md lists every field."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field
from pydantic_settings import BaseSettings, SettingsConfigDict

LogLevel = Annotated[
    Literal["DEBUG", "INFO", "WARNING", "ERROR"], BeforeValidator(lambda name: str(name).upper())
]


class LogSettings(BaseSettings):
    """What every process reads about its log."""

    model_config = SettingsConfigDict(
        frozen=True, env_ignore_empty=True, extra="ignore", hide_input_in_errors=True
    )

    log_level: LogLevel = Field("INFO", description="DEBUG, INFO, WARNING or ERROR.")
    log_format: Literal["console", "json"] | None = Field(
        None, description="`console`, lines for people, or `json`. Unset: lines for people on a terminal."
    )
    log_dir: Path | None = Field(
        None, description="Directory that keeps the log in files as well, of 20 MB and five older ones each."
    )
    log_prompts: bool = Field(default=False, description="Let the log quote the prompts of jobs.")
