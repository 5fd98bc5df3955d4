"""Programs that are kept running: real shells, watched through the files and pipes they write."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event, Thread

import pytest

import workers.processes
from tests.unit.worker_parts import PATIENCE_SECONDS, Clock, until
from workers.processes import KeptProcess, ProcessKeeper, Program

SLEEP = "exec sleep 600"


def shell(script: str, name: str = "program", **environment: str) -> Program:
    return Program(name, ["/bin/sh", "-c", script], environment)


def lines(file: Path) -> list[str]:
    """Whole lines only: the last one may still be on its way."""
    return file.read_text().split("\n")[:-1] if file.exists() else []


class Running:
    """A ProcessKeeper on a thread of its own."""

    def __init__(self, programs: list[Program], stop_seconds: float) -> None:
        self._stopped = Event()
        keeper = ProcessKeeper(programs, stop_seconds=stop_seconds)
        self._thread = Thread(target=keeper.run, args=(self._stopped,))
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join(PATIENCE_SECONDS)
        assert not self._thread.is_alive()


@pytest.fixture
def keep(monkeypatch) -> Iterator[Callable[..., Running]]:
    """Starts keepers that restart at once; stops them at the end."""
    monkeypatch.setattr(workers.processes, "_FIRST_DELAY_SECONDS", 0.0)
    monkeypatch.setattr(workers.processes, "_WATCH_SECONDS", 0.01)
    started: list[Running] = []

    def start(*programs: Program, stop_seconds: float = PATIENCE_SECONDS) -> Running:
        started.append(Running(list(programs), stop_seconds))
        return started[-1]

    yield start
    for running in started:
        running.stop()


def test_a_program_that_dies_is_started_again_and_the_others_are_left_alone(keep, tmp_path):
    mortal, steady = tmp_path / "mortal", tmp_path / "steady"
    keep(shell(f"echo $$ >> {mortal}; {SLEEP}"), shell(f"echo $$ >> {steady}; {SLEEP}"))
    first = until(lambda: lines(mortal))[0]
    until(lambda: lines(steady))
    os.kill(int(first), signal.SIGKILL)
    until(lambda: len(lines(mortal)) == 2)
    assert len(set(lines(mortal))) == 2
    assert len(lines(steady)) == 1


def test_a_program_that_ends_well_is_started_again_too(keep, tmp_path):
    starts = tmp_path / "starts"
    keep(shell(f"echo started >> {starts}"))
    assert until(lambda: len(lines(starts)) >= 3)


def test_a_program_sees_the_environment_with_its_own_changes(keep, tmp_path, monkeypatch):
    seen = tmp_path / "seen"
    monkeypatch.setenv("INHERITED", "kept")
    monkeypatch.setenv("CHANGED", "before")
    keep(shell(f"echo $INHERITED $CHANGED >> {seen}; {SLEEP}", CHANGED="after"))
    assert until(lambda: lines(seen)) == ["kept after"]


def test_a_stop_asks_every_program_to_end_and_waits_until_it_has(keep, tmp_path):
    said = tmp_path / "said"
    polite = f"trap 'echo ending >> {said}; exit' TERM; echo ready >> {said}; while :; do sleep 0.02; done"
    running = keep(shell(polite), shell(polite))
    until(lambda: lines(said) == ["ready", "ready"])
    running.stop()
    assert lines(said) == ["ready", "ready", "ending", "ending"]


def test_a_program_that_does_not_end_in_time_is_killed_with_all_it_started(keep, tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    # Both shells hold the pipe open, so that its end is the end of both.
    deaf = f"exec 3>{pipe}; trap '' TERM; (echo child >&3; sleep 600) & echo parent >&3; sleep 600"
    running = keep(shell(deaf), stop_seconds=0)
    with pipe.open() as reader:
        assert sorted([reader.readline(), reader.readline()]) == ["child\n", "parent\n"]
        running.stop()
        assert reader.read() == ""


class TestAProgramThatKeepsDying:
    @pytest.fixture
    def clock(self, monkeypatch) -> Clock:
        clock = Clock()
        monkeypatch.setattr(workers.processes, "time", clock)
        return clock

    def test_is_started_again_ever_more_slowly(self, clock, tmp_path):
        starts = tmp_path / "starts"
        kept = KeptProcess(shell(f"echo started >> {starts}"))

        def look() -> int:
            kept.keep()
            kept.wait(PATIENCE_SECONDS)
            return len(lines(starts))

        assert look() == 1
        for deaths, delay in enumerate((1, 2, 4, 8, 16, 32, 60, 60), start=1):
            assert look() == deaths
            clock.sleep(delay - 0.5)
            assert look() == deaths
            clock.sleep(0.5)
            assert look() == deaths + 1

    def test_is_started_soon_once_it_has_run_long(self, clock, caplog):
        kept = KeptProcess(shell("exit 3"))
        for lived in (1, 1, 1, 61):
            kept.keep()
            kept.wait(PATIENCE_SECONDS)
            clock.sleep(lived)
            kept.keep()
            clock.sleep(100)
        said = [
            message.removeprefix("program ended with 3; starting it again in ") for message in caplog.messages
        ]
        assert said == ["1 s", "2 s", "4 s", "1 s"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_the_signals_that_end_programs_set_the_event(number):
    script = (
        "from threading import Event; from workers.processes import stop_on_signals\n"
        "stopped = Event(); stop_on_signals(stopped); print('ready', flush=True)\n"
        "stopped.wait(); print('stopped')"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
        process.send_signal(number)
        assert process.communicate(timeout=PATIENCE_SECONDS)[0] == "stopped\n"


def test_a_kept_program_ends_with_its_keeper_even_when_that_is_killed(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    # The kept one holds the pipe open and waits for ever; the end of the pipe is its end.
    kept = (
        "import signal; from pathlib import Path; from jobs.lifetime import end_with_keeper\n"
        f"pipe = Path({str(pipe)!r}).open('w'); print('ready', file=pipe, flush=True)\n"
        "end_with_keeper(); signal.pause()"
    )
    keeper = (
        "import sys; from threading import Event; from workers.processes import ProcessKeeper, Program\n"
        f"program = Program('kept', [sys.executable, '-c', {kept!r}])\n"
        "ProcessKeeper([program], stop_seconds=1).run(Event())"
    )
    with (
        subprocess.Popen([sys.executable, "-c", keeper], stderr=subprocess.DEVNULL) as process,
        pipe.open() as reader,
    ):
        assert reader.readline() == "ready\n"
        process.kill()
        assert reader.read() == ""


def test_a_keeper_looks_after_something_else_meanwhile_and_still_stops(monkeypatch):
    monkeypatch.setattr(workers.processes, "_WATCH_SECONDS", 0.01)
    stopped, looks = Event(), []

    def look() -> None:
        looks.append("look")
        if len(looks) == 3:
            stopped.set()

    ProcessKeeper([], stop_seconds=0).run(stopped, [look])
    assert len(looks) == 3
