"""``wanserve simulate``, as a command."""

from __future__ import annotations

import json
import math
import re

import click

from scripts.simulate.fleet import SERVICES, Kind, Scenario, Simulation
from scripts.simulate.report import print_report, report
from wan_models.catalog import CATALOG

_PERIODS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


class Rate(click.ParamType[float]):
    """Jobs a second, as a number or as ``120/h``."""

    name = "rate"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Read it; jobs a second."""
        number, _, period = str(value).partition("/")
        rate = _positive(number) / _PERIODS[period or "s"] if period in ("", *_PERIODS) else 0.0
        if not rate:
            self.fail(f"{value!r} is no rate, such as 0.5 (a second), 30/m, 120/h or 2000/d.", param, ctx)
        return rate


class Mix(click.ParamType[list[tuple[str, float, float | None]]]):
    """Queues by their share of the jobs and the seconds of each, as ``ti2v-5B=3:60,t2v-A14B=1:600``."""

    name = "mix"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> list[tuple[str, float, float | None]]:
        """Read it; (queue, share, seconds or None)."""
        parts: list[tuple[str, float, float | None]] = []
        for part in str(value).split(","):
            match = re.fullmatch(r"([\w.-]+)=([^:]+)(?::(.+))?", part.strip())
            numbers = [_positive(number) for number in match.groups()[1:] if number] if match else []
            if match is None or match[1] not in CATALOG or not all(numbers):
                self.fail(
                    f"{part!r} is no part of a mix: write TASK=SHARE or TASK=SHARE:SECONDS, "
                    f"with a task of {', '.join(CATALOG)}.",
                    param,
                    ctx,
                )
            if match[1] in {task for task, _, _ in parts}:
                self.fail(f"{match[1]} is in it twice: add its shares up.", param, ctx)
            parts.append((match[1], numbers[0], numbers[1] if len(numbers) > 1 else None))
        return parts


class Amount(click.FloatRange):
    """A finite number in a range."""

    def convert(self, value: float, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Read it."""
        number = float(super().convert(value, param, ctx))
        if not math.isfinite(number):
            self.fail(f"{value!r} is no finite number.", param, ctx)
        return number


def _positive(text: str) -> float:
    """A finite number above 0; 0 if the text is none."""
    try:
        number = float(text)
    except ValueError:
        return 0.0
    return number if 0 < number < math.inf else 0.0


@click.command()
@click.option("--arrival-rate", "--arrival", type=Rate(), required=True, help="Jobs: 0.5 (a second), 120/h.")
@click.option("--servers", "--gpus", type=click.IntRange(1, 100_000), required=True, help="GPUs.")
@click.option(
    "--service-mean",
    type=Amount(0, min_open=True),
    default=60.0,
    show_default=True,
    help="Seconds of GPU time a job takes on average.",
)
@click.option(
    "--service",
    type=click.Choice(list(SERVICES)),
    default="constant",
    show_default=True,
    help="How that time varies from job to job.",
)
@click.option(
    "--mix",
    type=Mix(),
    default=None,
    help="Tasks by share and seconds, ti2v-5B=3:60,t2v-A14B=1:600. Every GPU serves all of them.",
)
@click.option(
    "--load-seconds",
    type=Amount(0),
    default=0.0,
    show_default=True,
    help="Seconds to change a GPU to another task's model.",
)
@click.option("--jobs", type=click.IntRange(1), default=100_000, show_default=True, help="Jobs to simulate.")
@click.option("--cost", type=Amount(0), default=None, help="Price of a GPU hour.")
@click.option("--seed", type=int, default=0, show_default=True, help="The same seed gives the same numbers.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def simulate(
    *,
    arrival_rate: float,
    servers: int,
    service_mean: float,
    service: str,
    mix: list[tuple[str, float, float | None]] | None,
    load_seconds: float,
    jobs: int,
    cost: float | None,
    seed: int,
    as_json: bool,
) -> None:
    """Plan a fleet: waits, utilisation and cost of a load, before buying anything.

    Jobs arrive at random at a steady rate, wait in the order in which the service really lets them, and take
    the time you give. A load that the GPUs cannot carry shows as waits that grow with --jobs.
    """
    shape = SERVICES[service]
    kinds = [Kind(queue, share, shape(seconds or service_mean)) for queue, share, seconds in mix or _one()]
    queues = [kind.queue for kind in kinds]
    scenario = Scenario(
        kinds=kinds,
        arrival_rate=arrival_rate,
        servers=[queues] * servers,
        jobs=jobs,
        seed=seed,
        load_seconds=load_seconds,
    )
    result = report(scenario, Simulation(scenario).run(), cost)
    if as_json:
        click.echo(json.dumps(result.as_json()))
    else:
        print_report(result)


def _one() -> list[tuple[str, float, float | None]]:
    return [("t2v-A14B", 1.0, None)]
