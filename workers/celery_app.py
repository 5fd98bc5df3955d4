"""The Celery application: transport between the gateway and the workers, and nothing more."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from celery import Celery
from kombu import Exchange, Queue

from jobs.dispatch import TASK_NAME

# A message that comes back is refused by the claim, so it only has to be longer than any job.
_VISIBILITY_TIMEOUT_SECONDS = 7 * 24 * 3600


def create_celery(broker_url: str, queues: Sequence[str], run: Callable[[str], None]) -> Celery:
    """An application whose single task calls ``run`` with the name of the queue whose next job is to be run.

    One retry authority: the job store. So Celery gets no retries, no result backend and no delayed
    messages, which on Redis would break both prefetch and the visibility timeout.
    """
    app = Celery("wanserve", broker=broker_url, set_as_current=False)
    app.conf.update(
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_transport_options={"visibility_timeout": _VISIBILITY_TIMEOUT_SECONDS},
        task_acks_late=True,
        task_create_missing_queues=False,
        task_ignore_result=True,
        # The unnamed exchange delivers by queue name, without bindings to look up in Redis.
        task_queues=[Queue(name, Exchange(""), routing_key=name) for name in queues],
        worker_concurrency=1,
        worker_disable_prefetch=True,
        worker_enable_soft_shutdown_on_idle=False,
        worker_pool="prefork",
        # The parent never imports torch, so the child may fork; macOS would otherwise spawn.
        worker_pool_start_method="fork",
        worker_prefetch_multiplier=1,
        # A child imports torch before it reports; by default it would be killed after 4 s, for ever.
        worker_proc_alive_timeout=600,
        worker_redirect_stdouts=False,
        worker_send_task_events=True,
    )
    app.task(name=TASK_NAME)(run)
    return app
