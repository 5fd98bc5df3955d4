"""``python -m scripts.chaos``: hundreds of jobs while a monkey is at large, and an account of them all."""

from __future__ import annotations

import os
import random
import sys
from contextlib import ExitStack
from pathlib import Path
from statistics import quantiles
from tempfile import TemporaryDirectory
from threading import Event, Thread

from pydantic import SecretStr
from rich.console import Console
from rich.table import Table

from jobs.connect import open_artifacts, open_store
from jobs.settings import JobsSettings
from scripts.bench.workspace import Workspace
from scripts.chaos.account import Account, settle
from scripts.chaos.client import Clients
from scripts.chaos.fleet import Fleet
from scripts.chaos.monkey import Monkey
from scripts.chaos.storage import ACCESS_KEY, BUCKET, SECRET_KEY, Door, serving_s3
from workers.orphans import Orphans

_QUEUE = "t2v-A14B"
_LEASE_SECONDS = 5.0
_STORAGE_FAILS = 0.2
_SETTLE_SECONDS = 400.0


def run(directory: Path, seconds: float, seed: int) -> tuple[Account, Monkey]:
    """One chaos run of this length in a directory of its own."""
    chance = random.Random(seed)  # noqa: S311 - a monkey needs no secrets
    models = Workspace(directory).models
    bucket = directory / "s3"
    with ExitStack() as stack:
        door = Door(stack.enter_context(serving_s3(bucket)), _STORAGE_FAILS, chance)
        stack.enter_context(door.in_use())
        environment = _environment(door.url, models)
        fleet = Fleet(directory, environment, gateways=2, machines=3)
        stack.enter_context(fleet.running())
        clients = Clients(fleet.gateway_urls, random.Random(seed + 1))  # noqa: S311 - as above
        monkey = Monkey(fleet, _QUEUE, _LEASE_SECONDS, chance)
        _let_loose(clients, monkey, seconds)
        door.open_for_good()
        clients.wait(_SETTLE_SECONDS)
        settings = _settings(fleet.redis_url, directory, door.url)
        artifacts = open_artifacts(settings)
        store = open_store(settings, artifacts)
        sweep = Orphans(store, artifacts, upload_seconds=3600).sweep
        account = settle(store, clients.accepted, bucket / BUCKET, monkey.blows, sweep)
        account.refused = door.refused
        return account, monkey


def _settings(redis_url: str, directory: Path, storage: str) -> JobsSettings:
    return JobsSettings(
        redis_url=redis_url,
        data_dir=directory / "data",
        s3_endpoint=storage,
        s3_bucket=BUCKET,
        s3_access_key=SecretStr(ACCESS_KEY),
        s3_secret_key=SecretStr(SECRET_KEY),
    )


def _environment(storage: str, models: Path) -> dict[str, str]:
    return {
        "S3_ENDPOINT": storage,
        "S3_BUCKET": BUCKET,
        "S3_ACCESS_KEY": ACCESS_KEY,
        "S3_SECRET_KEY": SECRET_KEY,
        "MODELS_DIR": str(models),
        "LEASE_SECONDS": str(_LEASE_SECONDS),
        "CHECKPOINT_SECONDS": "1",
        "DRAIN_SECONDS": "1",
        "RETRY_SECONDS": "1",
        "OMP_NUM_THREADS": "1",
    }


def _let_loose(clients: Clients, monkey: Monkey, seconds: float) -> None:
    stopped = Event()
    threads = [Thread(target=work.run, args=(stopped,)) for work in (clients, monkey)]
    for thread in threads:
        thread.start()
    stopped.wait(seconds)
    stopped.set()
    for thread in threads:
        thread.join()


def _print(account: Account, monkey: Monkey) -> None:
    table = Table("what", "how many")
    deeds = ", ".join(f"{name} {count}" for name, count in sorted(monkey.deeds.items()))
    rows: list[tuple[str, object]] = [
        ("the monkey's deeds", deeds),
        ("requests that the artifact store refused", account.refused),
        ("submitted", account.submitted),
        *((state, count) for state, count in sorted(account.states.items())),
        *((f"failed with {code}", count) for code, count in sorted(account.failures.items())),
        ("attempts", account.attempts),
        ("lost (must be 0)", len(account.lost)),
        ("finished twice (must be 0)", len(account.finished_twice)),
        ("videos spoiled (must be 0)", len(account.spoiled)),
        ("artifacts without job, cleaned", account.cleaned),
        ("artifacts without job, left (must be 0)", len(account.strays)),
        ("recoveries seen", len(account.recoveries)),
        ("the lease, s", _LEASE_SECONDS),
    ]
    for what, count in rows:
        table.add_row(what, str(count))
    console = Console()
    console.print(table)
    for name in ("lost", "finished_twice", "spoiled", "strays"):
        for culprit in getattr(account, name)[:10]:
            console.print(f"{name}: {culprit}")
    p50, p99 = _percentiles(account.recoveries)
    print(
        f"lost {len(account.lost)}, finished twice {len(account.finished_twice)}, "
        f"recovery p50 {p50:.2f} s p99 {p99:.2f} s"
    )


def _percentiles(seconds: list[float]) -> tuple[float, float]:
    if len(seconds) < 2:  # noqa: PLR2004 - fewer have no quantiles
        return (seconds[0], seconds[0]) if seconds else (0.0, 0.0)
    cuts = quantiles(seconds, n=100, method="inclusive")
    return cuts[49], cuts[98]


def _number(name: str, default: int) -> int:
    told = os.environ.get(name) or str(default)
    if not told.isdecimal():
        sys.exit(f"{name} is a whole number, not {told!r}.")
    return int(told)


def main() -> int:
    """Run for CHAOS_SECONDS, print the account, and say by the exit status whether it is clean."""
    seconds = _number("CHAOS_SECONDS", 300)
    seed = _number("CHAOS_SEED", random.SystemRandom().randrange(2**32))
    print(f"Chaos for {seconds} s (CHAOS_SECONDS), seed {seed} (CHAOS_SEED)", flush=True)
    with TemporaryDirectory(prefix="wanserve-chaos-") as scratch:
        account, monkey = run(Path(scratch), seconds, seed)
    _print(account, monkey)
    return 0 if account.is_clean else 1


if __name__ == "__main__":
    sys.exit(main())
