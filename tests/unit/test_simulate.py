"""The capacity simulator, against what queueing theory says where it says something."""

import json
from math import factorial, log

import pytest
from click.testing import CliRunner

from scripts.simulate.command import simulate


def run(*words: str) -> dict[str, float]:
    answer = CliRunner().invoke(simulate, [*words, "--json"])
    assert answer.exit_code == 0, answer.output
    result: dict[str, float] = json.loads(answer.output)
    return result


def erlang_c(servers: int, load: float) -> float:
    """The chance to wait in M/M/c, with a load in Erlangs (Erlang 1917)."""
    waiting = load**servers / factorial(servers) * servers / (servers - load)
    return waiting / (sum(load**k / factorial(k) for k in range(servers)) + waiting)


@pytest.mark.parametrize(("servers", "load"), [(1, 0.3), (1, 0.7), (4, 0.3), (4, 0.7), (10, 0.8)])
def test_exponential_jobs_wait_as_in_an_mmc_queue(servers, load):
    rate = load * servers
    result = run(
        *("--arrival-rate", str(rate), "--service-mean", "1", "--service", "exponential"),
        *("--servers", str(servers), "--jobs", "200000", "--seed", "3"),
    )
    # P(wait > t) = C exp(-(c - a) t), of which the mean is C / (c - a).
    waiting, drain = erlang_c(servers, rate), servers - rate
    assert result["wait_mean"] == pytest.approx(waiting / drain, rel=0.1)
    assert result["wait_p99"] == pytest.approx(log(waiting / 0.01) / drain, rel=0.1)
    assert result["utilisation"] == pytest.approx(load, rel=0.02)


def test_constant_jobs_wait_half_as_long_at_one_server():
    result = run(
        *("--arrival-rate", "0.8", "--service-mean", "1", "--service", "constant"),
        *("--servers", "1", "--jobs", "200000"),
    )
    assert result["wait_mean"] == pytest.approx(0.8 / (2 * 0.2), rel=0.05)  # Pollaczek-Khinchine


def test_the_same_seed_gives_the_same_numbers_and_another_one_others():
    words = ("--arrival", "3600/h", "--gpus", "2", "--service-mean", "1", "--jobs", "2000")
    assert run(*words) == run(*words)
    assert run(*words) != run(*words, "--seed", "1")


def test_a_mix_is_told_apart_and_paid_for():
    result = run(
        *("--arrival", "60/h", "--gpus", "3", "--mix", "ti2v-5B=3:60,t2v-A14B=1:300"),
        *("--jobs", "20000", "--cost", "2", "--load-seconds", "10"),
    )
    queues: dict[str, dict[str, float]] = result["queues"]  # type: ignore[assignment] # it is the one object
    assert queues["ti2v-5B"]["jobs"] == pytest.approx(15000, rel=0.05)
    assert result["loading"] > 0
    assert result["cost_per_video"] == pytest.approx(result["gpu_seconds_per_video"] / 3600 * 2)
    assert result["utilisation"] == pytest.approx((0.75 * 60 + 0.25 * 300) / 60 / 3, rel=0.05)


@pytest.mark.parametrize(
    "words",
    [
        ("--arrival", "0", "--gpus", "1"),
        ("--arrival", "1/y", "--gpus", "1"),
        ("--arrival", "1.2.3", "--gpus", "1"),
        ("--arrival", "1", "--gpus", "0"),
        ("--arrival", "nan", "--gpus", "1"),
        ("--arrival", "inf/h", "--gpus", "1"),
        *(
            ("--arrival", "1", "--gpus", "1", "--mix", mix)
            for mix in ("nonsense", "ti2v-5B=1.2.3", "ti2v-5B=.", "ti2v-5B=1:0", "ti2v-5B=1,ti2v-5B=2")
        ),
        *(
            ("--arrival", "1", "--gpus", "1", "--jobs", "10", option, number)
            for option in ("--service-mean", "--load-seconds", "--cost")
            for number in ("nan", "inf")
        ),
    ],
)
def test_nonsense_is_refused_with_what_to_write_instead(words):
    answer = CliRunner().invoke(simulate, words)
    assert answer.exit_code == 2
    assert "Error" in answer.output


def test_rates_may_be_written_with_an_exponent():
    words = ("--gpus", "1", "--jobs", "100")
    assert run("--arrival", "1e-3", *words) == run("--arrival", "0.001", *words)
