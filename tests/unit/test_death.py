"""What a process died of, as one learns that did not start it."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

import workers.death
from workers.death import Death

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


@pytest.fixture
def process() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        yield process
        process.kill()


def ended(process: subprocess.Popen[bytes]) -> None:
    """Wait for the end without taking note of it, as whoever started it would."""
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGKILL, signal.SIGTERM])
def test_a_signal_is_named(process, number):
    death = Death(process.pid)
    process.send_signal(number)
    ended(process)
    assert death.describe() == f"killed by {number.name}"


def test_a_status_is_told(process):
    death = Death(process.pid)
    process.stdin.close()  # input() raises
    ended(process)
    assert death.describe() == "it ended with status 1"


def test_the_want_of_memory_is_told_apart_from_other_kills(process, monkeypatch):
    death = Death(process.pid)
    process.kill()
    ended(process)
    monkeypatch.setattr(workers.death, "_oom_kills", lambda: 1_000_000)
    assert death.describe() == "killed by the system, out of memory"


def test_a_process_that_was_taken_note_of_left_no_word(process):
    death = Death(process.pid)
    process.kill()
    process.wait()
    assert death.describe() == "the system does not say why"
