"""Flower, the monitor of Celery's workers, on the service's broker: ``python -m scripts.flower``.

It shows and changes nothing: Flower's read-only mode is on. Messages hold the names of queues and the ids of
jobs, so no prompt is to be seen there. docs/flower.md describes it.
"""

from __future__ import annotations

from typing import Self

from pydantic import Field, SecretStr, model_validator

from api.access import is_loopback
from jobs.embedded import broker_url
from jobs.settings import JobsSettings, load_settings
from scripts.ports import Port, require_free
from scripts.running import make_data_dir
from telemetry.logs import configure_logging
from wan_models.catalog import CATALOG
from workers.celery_app import create_celery

_SAVE_MILLISECONDS = 10_000
_MOST_TASKS = 10_000


class FlowerSettings(JobsSettings):
    """The settings of Flower."""

    flower_address: str = Field(
        "127.0.0.1", description="Address to listen on; 0.0.0.0 for every one of IPv4."
    )
    flower_port: int = Field(5555, ge=1, le=65535, description="Port to listen on.")
    flower_basic_auth: SecretStr | None = Field(
        None, description="Who may look, as `name:password`. Needed where others can reach it."
    )
    flower_url_prefix: str = Field("", description="Path that a proxy in front serves it below.")

    @model_validator(mode="after")
    def _needs_a_password(self) -> Self:
        _, colon, password = self.password.partition(":")
        if self.flower_basic_auth and ("," in password or not (colon and password)):
            raise ValueError("FLOWER_BASIC_AUTH: write name:password, without a comma.")
        if not self.flower_basic_auth and not is_loopback(self.flower_address):
            raise ValueError(
                f"FLOWER_ADDRESS {self.flower_address} can be reached from other machines. "
                "Set FLOWER_BASIC_AUTH=name:password as well."
            )
        return self

    @property
    def url(self) -> str:
        """Where a browser on this machine finds it."""
        return f"http://127.0.0.1:{self.flower_port}"

    @property
    def listener(self) -> Port:
        """Where it listens."""
        return Port("FLOWER_PORT", self.flower_address, self.flower_port, "Flower")

    @property
    def password(self) -> str:
        """``name:password``, or nothing."""
        return self.flower_basic_auth.get_secret_value() if self.flower_basic_auth else ""


def arguments(settings: FlowerSettings) -> list[str]:
    """The command that Celery's command line is given, inside this process: nobody sees the password."""
    options: dict[str, object] = {
        "address": settings.flower_address,
        "port": settings.flower_port,
        "url_prefix": settings.flower_url_prefix,
        "basic_auth": settings.password,
        "read_only": True,
        "persistent": True,
        "db": settings.data_dir / "flower",
        "state_save_interval": _SAVE_MILLISECONDS,
        "max_tasks": _MOST_TASKS,
        "purge_offline_workers": 24 * 3600,
    }
    return ["flower", *(f"--{name}={value}" for name, value in options.items() if value != "")]


def _run_nothing(queue: str) -> None:
    """The task, which Flower only knows the name of."""


def main() -> None:
    """Serve until told to stop."""
    settings = load_settings(FlowerSettings)
    configure_logging(settings, "flower")
    make_data_dir(settings.data_dir)
    require_free([settings.listener])
    app = create_celery(broker_url(settings.redis_address), list(CATALOG), _run_nothing)
    app.start(arguments(settings))


if __name__ == "__main__":
    main()
