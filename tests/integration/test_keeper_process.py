"""The keeper as the process it is: beside a child that starves, stops, or dies; killed and paused itself."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import psutil
import pytest

import workers.lease
from jobs.policy import Policy
from jobs.state import Job, JobState
from jobs.store_redis import RedisJobStore, connect
from tests.unit.worker_parts import PATIENCE_SECONDS, QUEUE, new_job, until
from workers.lease import LeaseKeeper, keeper_of
from workers.rotation import Rotation

LEASE_SECONDS = 1.5
POLICY = Policy(lease_seconds=LEASE_SECONDS)

# A child that claims the next job, holds it and then does as each line of its input says.
CHILD = """
import ctypes, os, sys
from jobs.policy import Policy
from jobs.store_redis import RedisJobStore, connect
from workers.lease import keeper_of
from workers.rotation import Rotation

policy = Policy(lease_seconds=float(os.environ["LEASE_SECONDS"]))
store = RedisJobStore(connect(os.environ["REDIS_URL"]), policy)
with keeper_of("w1", Rotation(["t2v-A14B"])) as keeper:
    keeper.wait()
    job = store.claim("t2v-A14B", "w1")
    held = keeper.hold(job.lease)
    for line in sys.stdin:
        match line.split():
            case ["report", step]:
                held.report("denoising", int(step), 100)
            case ["starve", seconds]:
                print("starving", flush=True)
                ctypes.PyDLL(None).sleep(int(seconds))  # Python's lock is not given away meanwhile
            case ["succeed"]:
                store.succeed(job.lease, {})
                keeper.drop(held)
        print("done", flush=True)
"""


class Child:
    """A running child, told what to do line by line."""

    def __init__(self, redis_url: str, **changes: Any) -> None:
        self.store = RedisJobStore(connect(redis_url), POLICY)
        self.job = self.store.submit(new_job(**changes))
        variables = {
            "REDIS_URL": redis_url,
            "LEASE_SECONDS": str(LEASE_SECONDS),
            "CANCEL_GRACE_SECONDS": "0.5",
        }
        self.process = subprocess.Popen(
            [sys.executable, "-c", CHILD],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | variables,
        )

    def say(self, line: str) -> str:
        """Have the child do something; gives its first answer."""
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()

    def keeper(self) -> psutil.Process:
        (keeper,) = until(psutil.Process(self.process.pid).children)
        found: psutil.Process = keeper
        return found

    def look(self) -> Job:
        return self.store.get(self.job.id)

    def lease_end(self) -> float:
        """When the lease ends, as the record has it."""
        return self.look().lease_expires_at or 0.0

    def told(self) -> str:
        _, errors = self.process.communicate()
        return str(errors)

    def end(self) -> None:
        """End the child, and see that its keeper ends with it."""
        with self.process:
            keepers = psutil.Process(self.process.pid).children() if self.process.poll() is None else []
            self.process.kill()
        _, alive = psutil.wait_procs(keepers, PATIENCE_SECONDS)
        assert alive == []


@pytest.fixture
def start(redis_url: str) -> Iterator[Callable[..., Child]]:
    children: list[Child] = []

    def start(**changes: Any) -> Child:
        child = Child(redis_url, **changes)
        children.append(child)
        return child

    yield start
    for child in children:
        child.end()


@pytest.fixture
def child(start) -> Any:
    child = start()
    assert child.say("report 1") == "done"
    return child


def test_progress_reaches_the_record(child):
    assert child.say("report 7") == "done"
    assert until(lambda: child.look().progress.step == 7)


def test_a_child_that_gives_python_s_lock_to_nobody_keeps_its_job(child):
    before = child.lease_end()
    assert child.say("starve 60") == "starving"
    until(lambda: child.lease_end() > before + LEASE_SECONDS)
    assert child.store.rescue() == []
    assert child.process.poll() is None


def test_a_starving_child_is_killed_when_its_job_is_cancelled(child):
    child.say("starve 60")
    child.store.cancel(child.job.id)
    until(lambda: child.look().state is JobState.CANCELLED)
    assert child.process.wait() == -signal.SIGKILL


def test_a_starving_child_is_killed_when_its_job_times_out(start):
    child = start(timeout=0.5)
    child.say("starve 60")
    (job,) = until(child.store.expire)
    assert (job.state, job.error.code) == (JobState.FAILED, "timeout")
    assert child.process.wait() == -signal.SIGKILL


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
def test_a_child_that_dies_loses_its_attempt_at_once_and_not_when_its_lease_ends(child, number):
    child.process.send_signal(number)
    os.waitid(os.P_PID, child.process.pid, os.WEXITED | os.WNOWAIT)
    job = until(lambda: child.look() if child.look().state is JobState.QUEUED else None)
    events = child.store.events(job.id)
    assert (events[-1].type, events[-1].data["by"]) == ("queued", "retry")
    assert (job.failures, job.error.code) == (1, "worker_lost")
    assert number.name in job.error.message


def test_a_keeper_that_is_killed_is_replaced_and_knows_the_job(child):
    first = child.keeper()
    first.kill()
    until(lambda: not first.is_running())
    before = child.lease_end()
    until(lambda: child.lease_end() > before)
    assert child.keeper().pid != first.pid
    child.say("report 9")
    until(lambda: child.look().progress.step == 9)


def test_a_keeper_that_is_killed_while_its_child_dies_leaves_the_job_to_the_rescue(child):
    keeper = child.keeper()
    keeper.suspend()
    child.process.kill()
    keeper.kill()
    (rescued,) = until(child.store.rescue)
    assert (rescued.state, rescued.error.code) == (JobState.QUEUED, "worker_lost")


def test_a_child_and_keeper_that_are_paused_past_their_lease_change_nothing(child):
    keeper = child.keeper()
    child.process.send_signal(signal.SIGSTOP)
    keeper.suspend()
    (rescued,) = until(child.store.rescue)
    other = child.store.claim(QUEUE, "w2")
    assert (rescued.id, other.id) == (child.job.id, child.job.id)
    keeper.resume()
    child.process.send_signal(signal.SIGCONT)
    # A paused run goes on until the keeper has heard that the lease is lost.
    give_up_at = time.monotonic() + 20
    while child.say("report 50") == "done":
        assert time.monotonic() < give_up_at
    assert "HoldLostError" in child.told()
    now = child.look()
    assert (now.state, now.worker, now.attempt, now.progress.step) == (JobState.IN_PROGRESS, "w2", 2, 0)


def test_a_child_that_leaves_takes_its_worker_off_the_list_and_its_keeper_with_it(child):
    keeper = child.keeper()
    until(child.store.workers)
    child.say("succeed")
    child.process.communicate()
    assert child.process.returncode == 0
    assert child.store.workers() == []
    assert not keeper.is_running()


def test_a_keeper_that_is_waited_for_is_at_work(redis_url, monkeypatch):
    monkeypatch.setenv("REDIS_URL", redis_url)
    store = RedisJobStore(connect(redis_url), POLICY)
    with keeper_of("w1", Rotation([QUEUE])) as keeper:
        assert keeper.wait()
        assert [worker.name for worker in store.workers()] == ["w1"]
        first = keeper._process
        first.kill()
        until(lambda: keeper._process is not first)
        assert keeper.wait()
        assert keeper._process.poll() is None


def test_a_keeper_that_cannot_work_is_not_waited_for_for_ever(monkeypatch):
    monkeypatch.setattr(workers.lease, "_START_SECONDS", 0.1)
    with LeaseKeeper(["sleep", "60"]) as keeper:
        assert not keeper.wait()
        keeper._process.kill()


def test_a_keeper_never_imports_what_a_pipeline_needs():
    program = "import sys, workers.keeper; print([m for m in ('torch', 'celery', 'av') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
