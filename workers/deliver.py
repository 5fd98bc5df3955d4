"""``python -m workers.deliver``: delivers webhooks until it is told to stop."""

from __future__ import annotations

from contextlib import closing
from threading import Event

from jobs.connect import open_store, open_webhooks
from jobs.lifetime import end_with_keeper
from jobs.outbound import Outbound
from jobs.settings import load_settings
from telemetry.logs import configure_logging
from telemetry.traces import open_traces
from workers.courier import Courier
from workers.deliverer import Deliverer
from workers.processes import stop_on_signals
from workers.settings import WorkerSettings


def main() -> None:
    """Deliver until SIGTERM or Ctrl-C."""
    settings = load_settings(WorkerSettings)
    configure_logging(settings, "deliverer")
    end_with_keeper()
    stopped = Event()
    stop_on_signals(stopped)
    with closing(open_traces("wanserve-deliverer")) as traces:
        Deliverer(
            open_webhooks(settings),
            open_store(settings),
            Courier(Outbound(settings.webhook_hosts), settings.webhook_seconds, traces=traces),
            attempt_seconds=settings.webhook_seconds,
            public_url=settings.public_url,
        ).run(stopped)


if __name__ == "__main__":
    main()
