"""Runs the gateway: ``python -m api``."""

from __future__ import annotations

import logging
import resource
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import uvicorn

from api.app import create_app, open_parts
from api.exposure import ExposedError, check_exposure
from api.parts import Parts
from api.protocol import Protocol, Sockets
from api.settings import GatewaySettings
from api.watch import Watch
from jobs.connect import open_keys, open_store, open_webhooks
from jobs.lifetime import end_with_keeper
from jobs.metrics import DiskMetrics, MetricsPortError, StoreMetrics, serving
from jobs.scratch import sweep_scratch
from jobs.settings import load_settings
from telemetry.logs import configure_logging
from telemetry.traces import open_traces
from wan_models.catalog import CATALOG
from wan_models.engines import EnginesError
from wan_models.errors import LoraCatalogError
from wan_models.loras import read_loras

MAX_SOCKET_MESSAGE_BYTES = 4096  # nobody has anything to say
GRACE_SECONDS = 25  # for open downloads; orchestrators commonly kill after 30

_log = logging.getLogger(__name__)


class Server(uvicorn.Server):
    """Uvicorn that, told to stop, lets clients go that wait for a job, and finishes all other requests."""

    def __init__(self, config: uvicorn.Config, watch: Watch) -> None:
        super().__init__(config)
        self._watch = watch

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """See uvicorn."""
        self._watch.close()
        await super().shutdown(sockets)


def allow_many_connections() -> None:
    """Let this process open as many files as it may: each connection is one, and shells commonly say 1024."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):  # where no limit is set at all, none can be asked for
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


@contextmanager
def _metrics(settings: GatewaySettings, parts: Parts) -> Iterator[None]:
    store = open_store(settings, parts.artifacts)
    told = StoreMetrics(store, open_webhooks(settings), parts.artifacts, list(CATALOG))
    try:
        with serving(settings.metrics_host, settings.metrics_port, told, DiskMetrics(parts.intake.disks)):
            yield
    except MetricsPortError as error:
        sys.exit(str(error))


def main() -> None:
    """Serve until told to stop."""
    settings = load_settings(GatewaySettings)
    allow_many_connections()
    configure_logging(settings, "gateway")
    end_with_keeper()
    sweep_scratch()
    try:
        if warning := check_exposure(settings, open_keys(settings)):
            _log.warning(warning)
        read_loras(settings.loras_dir)
    except (EnginesError, ExposedError, LoraCatalogError) as error:
        sys.exit(str(error))
    parts = open_parts(settings, open_traces("wanserve-gateway"))
    with _metrics(settings, parts):
        config = uvicorn.Config(
            create_app(parts),
            host=settings.host,
            port=settings.port,
            http=Protocol,
            ws=Sockets,
            log_config=None,  # its lines go where ours go, at the level of other libraries
            access_log=settings.log_level == "DEBUG",  # clients poll
            server_header=False,
            timeout_graceful_shutdown=GRACE_SECONDS,
            ws_max_size=MAX_SOCKET_MESSAGE_BYTES,
            ws_per_message_deflate=False,  # it takes memory of every connection, for messages this small
        )
        Server(config, parts.watch).run()


if __name__ == "__main__":
    main()
