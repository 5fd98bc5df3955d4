"""A short run of ``make chaos``: two gateways, three workers, one Redis, and a monkey."""

import os
import re
import subprocess
import sys

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def test_no_job_is_lost_while_everything_is_killed_and_paused():
    done = subprocess.run(
        [sys.executable, "-m", "scripts.chaos"],
        env=os.environ | {"CHAOS_SECONDS": "20", "CHAOS_SEED": "1", "COLUMNS": "100"},
        capture_output=True,
        text=True,
        check=False,
    )
    last = done.stdout.splitlines()[-1]
    assert re.fullmatch(r"lost 0, finished twice 0, recovery p50 [\d.]+ s p99 [\d.]+ s", last), (
        done.stdout + done.stderr[-3000:]
    )
    assert done.returncode == 0, done.stdout
    for what in ("submitted", "requests that the artifact store refused"):
        count = re.search(rf"{what} +│ +(\d+)", done.stdout)
        assert count
        assert int(count[1]) > 0


@pytest.mark.parametrize("setting", ["CHAOS_SECONDS", "CHAOS_SEED"])
def test_a_wrong_setting_is_named(setting):
    done = subprocess.run(
        [sys.executable, "-m", "scripts.chaos"],
        env=os.environ | {setting: "-1.5"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"{setting} is a whole number, not '-1.5'.\n"
