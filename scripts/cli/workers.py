"""``wanserve workers``: who works, and taking one out of the rotation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import click
from celery import Celery
from rich.console import Console
from rich.table import Column, Table

from jobs.connect import open_store
from jobs.embedded import broker_url
from jobs.errors import JobsError
from jobs.settings import JobsSettings, load_settings
from jobs.state import JobFilter, JobState, Worker
from jobs.store import JobStore

_ANSWER_SECONDS = 3.0
_LOOK_SECONDS = 1.0
_MOST_JOBS = 1000


@click.group()
def workers() -> None:
    """List workers, drain one, let it take jobs again. Reads REDIS_URL or DATA_DIR as the service does."""


@workers.command(name="list")
def show() -> None:
    """List the workers heard of lately: what each is busy with, and whether it takes more."""
    whole = [Column(name, no_wrap=True, overflow="fold") for name in ("worker", "queues", "busy with")]
    table = Table(*whole, "takes jobs", "last heard of")
    consumed = _celery().control.inspect(timeout=_LOOK_SECONDS).active_queues() or {}
    store, found = _workers()  # later than that: what a worker says of itself is up to a second old
    busy = {job.worker: job.id for job in store.find(JobFilter(state=JobState.IN_PROGRESS), _MOST_JOBS)}
    for worker in found:
        takes = _takes(worker, consumed)
        seconds = f"{store.now() - worker.seen_at:.0f} s ago"
        table.add_row(worker.name, "\n".join(worker.queues), busy.get(worker.name, "-"), takes, seconds)
    Console().print(table)


@workers.command()
@click.argument("name")
def drain(name: str) -> None:
    """Have a worker finish its job and take no other, until it is resumed or restarted."""
    worker = _named(name)
    _tell(worker, "cancel_consumer")
    click.echo(f"{name} takes no more jobs. `wanserve workers resume {name}` undoes that.")


@workers.command()
@click.argument("name")
def resume(name: str) -> None:
    """Have a drained worker take jobs again."""
    _tell(_named(name), "add_consumer")
    click.echo(f"{name} takes jobs again.")


def _takes(worker: Worker, consumed: Mapping[str, Sequence[object]]) -> str:
    """Whether a worker takes jobs, by what it says itself and by the queues that its Celery receives from."""
    if worker.name not in consumed:
        return "does not answer"
    if not consumed[worker.name]:
        return "drained"
    return "yes" if worker.taken else "no, its disk is full"


def _workers() -> tuple[JobStore, list[Worker]]:
    store = open_store(load_settings(JobsSettings))
    try:
        return store, store.workers()
    except JobsError as error:
        raise click.ClickException(str(error)) from error


def _named(name: str) -> Worker:
    _, found = _workers()
    for worker in found:
        if worker.name == name:
            return worker
    known = ", ".join(worker.name for worker in found) or "none"
    raise click.ClickException(f"No worker is called {name}. Heard of lately: {known}.")


def _celery() -> Celery:
    address = load_settings(JobsSettings).redis_address
    return Celery("wanserve", broker=broker_url(address), set_as_current=False)


def _tell(worker: Worker, command: str) -> None:
    """Celery's remote control: a worker that is asked so keeps its running job."""
    app = _celery()
    for queue in worker.queues:
        answers = app.control.broadcast(
            command,
            arguments={"queue": queue},
            destination=[worker.name],
            reply=True,
            timeout=_ANSWER_SECONDS,
        )
        if not answers:
            raise click.ClickException(
                f"{worker.name} does not answer. Is it running? `wanserve workers list`"
            )
