"""Estimates: what they are made from, and that nothing is made up where nothing is known."""

from dataclasses import replace

import pytest

from api.eta import QueueLoad, eta_seconds, poll_seconds
from jobs.state import ANY_KIND, Job, JobState, Pace, Progress

NOW = 1_000_100.0
QUEUED = Job(
    id="job_1",
    queue="t2v-A14B",
    tenant="default",
    spec={},
    state=JobState.QUEUED,
    created_at=1_000_000.0,
    ahead=0,
    progress=Progress(steps=20),
)
KIND = "128*64*17"
RUNNING = replace(
    QUEUED, state=JobState.IN_PROGRESS, ahead=None, started_at=NOW - 30, progress=Progress("denoising", 5, 20)
)


def loaded(workers: int, pace: float, **kinds: Pace) -> QueueLoad:
    """A queue whose jobs take ``pace`` seconds."""
    return QueueLoad(workers, {ANY_KIND: Pace(0, pace), **kinds})


@pytest.mark.parametrize(
    ("ahead", "workers", "expected"),
    [
        (0, 1, 200),  # the running one ends, then its own run
        (1, 1, 300),
        (9, 1, 1100),
        (0, 4, 125),  # four at work: one of them ends each 25 s
        (7, 4, 300),
    ],
)
def test_a_queued_job_waits_for_its_turn_and_then_for_itself(ahead, workers, expected):
    assert eta_seconds(replace(QUEUED, ahead=ahead), loaded(workers, 100), NOW) == expected


@pytest.mark.parametrize("load", [loaded(0, 100), QueueLoad(2)])
def test_a_queued_job_without_workers_or_without_a_pace_has_no_estimate(load):
    assert eta_seconds(QUEUED, load, NOW) is None


def test_a_running_job_is_estimated_from_its_own_steps_whatever_the_pace_of_others():
    assert eta_seconds(RUNNING, loaded(1, 9999), NOW) == 90


@pytest.mark.parametrize("step", [0, 20])
def test_before_the_first_and_after_the_last_step_the_pace_of_the_queue_counts(step):
    job = replace(RUNNING, progress=Progress("decoding", step, 20))
    assert eta_seconds(job, loaded(1, 100), NOW) == 70
    assert eta_seconds(job, QueueLoad(1), NOW) is None


def test_the_own_run_is_estimated_by_jobs_of_its_kind_and_the_wait_by_all():
    load = loaded(1, 100, **{KIND: Pace(per_step=3, rest=7)})
    assert eta_seconds(replace(QUEUED, ahead=1, pace_key=KIND), load, NOW) == 200 + 20 * 3 + 7
    assert eta_seconds(replace(QUEUED, ahead=1, pace_key="another"), load, NOW) == 200 + 100


def test_a_running_job_goes_by_the_steps_of_its_kind_where_they_are_known():
    load = loaded(1, 9999, **{KIND: Pace(per_step=3, rest=7)})
    assert eta_seconds(replace(RUNNING, pace_key=KIND), load, NOW) == 15 * 3


def test_an_overdue_job_takes_no_negative_time():
    job = replace(RUNNING, progress=Progress(steps=20))
    assert eta_seconds(job, loaded(1, 10), NOW) == 0


def test_a_clock_that_lags_behind_the_start_does_not_matter():
    job = replace(RUNNING, started_at=NOW + 5)
    assert eta_seconds(job, QueueLoad(1), NOW) == 0


def test_estimates_are_rounded_up():
    assert eta_seconds(replace(QUEUED, ahead=0), loaded(3, 1), NOW) == 2


@pytest.mark.parametrize("state", [state for state in JobState if state.is_final])
def test_a_final_job_has_no_estimate(state):
    assert eta_seconds(replace(RUNNING, state=state), loaded(1, 100), NOW) is None


@pytest.mark.parametrize(
    ("eta", "seconds"), [(None, 1), (0, 1), (39, 1), (40, 2), (100, 5), (200, 10), (9999, 10)]
)
def test_the_longer_it_takes_the_less_often_a_client_should_ask(eta, seconds):
    assert poll_seconds(eta) == seconds
