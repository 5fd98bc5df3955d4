"""One suite for every JobStore: what can be read of jobs, queues and workers."""

import pytest

from jobs.errors import JobNotFoundError
from jobs.line import Place
from jobs.outlook import FIRST, SAMPLES, TENANTS, Outlook, RunningJob, Size, WaitingJob
from jobs.policy import Caps
from jobs.state import ANY_KIND, NOTES_KEPT, JobFilter, JobState, Note, Pace, Priority, Progress
from tests.contract.job_store_helpers import OOM, QUEUE, claimed, ended, submitted


class TestNotes:
    def test_are_kept_with_their_job_in_order_by_the_clock_of_the_store(self, store, clock):
        job = claimed(store)
        behind = clock.time - 100  # another machine's clock
        store.annotate(
            job.id, [Note(behind - 5, "info", 1, "Loading 🐈"), Note(behind, "warning", 1, "b")], behind
        )
        clock.pass_seconds(1)
        store.annotate(job.id, [Note(7, "info", 1, "c")], 7.25)
        assert store.notes(job.id) == [
            Note(clock.time - 6, "info", 1, "Loading 🐈"),
            Note(clock.time - 1, "warning", 1, "b"),
            Note(clock.time - 0.25, "info", 1, "c"),
        ]

    def test_may_come_late_and_from_an_attempt_that_was_lost(self, store, clock):
        job = claimed(store)
        clock.pass_seconds(31)
        store.rescue()
        store.annotate(job.id, [Note(1, "info", 1, "late")], 1)
        assert [note.text for note in store.notes(job.id)] == ["late"]

    def test_are_kept_up_to_a_number_the_last_of_them(self, store):
        job = claimed(store)
        for number in range(NOTES_KEPT + 3):
            store.annotate(job.id, [Note(1, "info", 1, str(number))], 1)
        assert [note.text for note in store.notes(job.id)] == [str(n) for n in range(3, NOTES_KEPT + 3)]

    @pytest.mark.parametrize("state", [JobState.FAILED, JobState.CANCELLED])
    def test_outlive_the_job_and_go_with_its_record(self, store, state):
        job_id = ended(store, state, 1).id
        store.annotate(job_id, [Note(1, "info", 1, "a")], 1)
        assert len(store.notes(job_id)) == 1
        store.remove(job_id)
        submitted(store)
        assert store.notes(job_id) == []

    def test_of_what_went_well_are_not_kept_of_a_completed_job(self, store):
        job = claimed(store)
        store.annotate(job.id, [Note(1, "info", 1, "a"), Note(1, "warning", 1, "b")], 1)
        store.succeed(job.lease, {})
        store.annotate(job.id, [Note(1, "info", 1, "c"), Note(1, "error", 1, "d")], 1)
        assert [note.text for note in store.notes(job.id)] == ["b", "d"]

    def test_about_no_job_are_dropped(self, store):
        store.annotate("job_0001", [Note(1, "info", 1, "a")], 1)
        with pytest.raises(JobNotFoundError):
            store.notes("job_0001")
        submitted(store)
        assert store.notes("job_0001") == []


class TestHistory:
    def test_tells_of_all_jobs_of_a_tenant_in_order_but_not_of_progress(self, store):
        submitted(store, 1, tenant="t1")
        submitted(store, 2, tenant="t2")
        submitted(store, 3, tenant="t1")
        job = store.claim("t2v-A14B", "w1")
        store.heartbeat(job.lease, Progress("denoising", 1, 40))
        store.succeed(job.lease, {})
        told = store.history("t1")
        assert [(entry.job_id, entry.event.type, entry.event.id) for entry in told] == [
            ("job_0001", "queued", 1),
            ("job_0003", "queued", 1),
            ("job_0001", "in_progress", 2),
            ("job_0001", "completed", 4),
        ]
        assert store.history_end("t1") == told[-1].cursor
        assert told[-1].event == store.events("job_0001")[-1]

    def test_goes_on_behind_a_cursor_in_pages(self, store):
        for number in range(5):
            submitted(store, number)
        first = store.history("default", limit=2)
        rest = store.history("default", first[-1].cursor)
        assert [entry.job_id[-1] for entry in [*first, *rest]] == ["0", "1", "2", "3", "4"]
        assert store.history("default", rest[-1].cursor) == []

    def test_of_a_removed_job_has_no_events(self, store):
        store.cancel(submitted(store).id)
        store.remove("job_0001")
        assert [(entry.job_id, entry.event) for entry in store.history("default")] == [("job_0001", None)] * 2

    def test_of_an_unknown_tenant_is_empty(self, store):
        assert (store.history("nobody"), store.history_end("nobody")) == ([], "0-0")


@pytest.mark.slow
def test_a_queue_remembers_the_pace_of_so_many_kinds_and_of_any_job(store, clock):
    for number in range(1010):
        job = claimed(store, number, pace_key=str(number))
        for step in (1, 2):
            clock.pass_seconds(1)
            store.heartbeat(job.lease, Progress("denoising", step, 20))
        store.succeed(job.lease, {})
    paces = store.paces(QUEUE)
    assert 990 <= len(paces) <= 1001
    assert paces[ANY_KIND] == Pace(0, 2)
    assert "1009" in paces


class TestOutlook:
    def test_of_a_queue_that_nothing_was_ever_asked_of_is_empty(self, store):
        assert store.outlook(QUEUE) == Outlook()

    def test_tells_what_runs_what_stands_in_line_and_what_waits(self, store, clock):
        start = clock.time
        store.set_caps("acme", Caps(in_progress=4))
        running, failed = (claimed(store, number, pace_key="large", tenant="acme") for number in (1, 2))
        store.heartbeat(running.lease, Progress("denoising", 5, 20))
        store.retry(failed.lease, OOM, 30)
        clock.pass_seconds(1)
        submitted(store, 3, steps=4)
        submitted(store, 4, queue="another")
        submitted(store, 5, priority=Priority.HIGH, tenant="acme")
        assert store.outlook(QUEUE) == Outlook(
            running=(RunningJob("w1", "acme", Size("large", 20), 5, start),),
            line=(
                WaitingJob(Place(0, start + 1, "job_0005", "acme"), Size("", 20)),
                WaitingJob(Place(1, start + 1, "job_0003", "default"), Size("", 4)),
            ),
            delayed=(WaitingJob(Place(1, start, "job_0002", "acme"), Size("large", 20), start + 30),),
            length=2,
            waiting={"acme": 1, "default": 1},
            caps={"acme": 4},
        )

    def test_learns_with_the_pace(self, store, clock):
        job = claimed(store)
        clock.pass_seconds(5)
        store.succeed(job.lease, {})
        assert store.outlook(QUEUE).paces == store.paces(QUEUE) == {ANY_KIND: Pace(0, 5)}

    @pytest.fixture
    def long_line(self, store, clock) -> list[str]:
        """More jobs than are told of: those of one tenant, the last few of many others."""
        tenants = ["acme"] * (FIRST + 2 * SAMPLES) + [f"t{number}" for number in range(TENANTS + 1)] * 2
        for number, tenant in enumerate(tenants):
            submitted(store, number, tenant=tenant, steps=number)
            clock.pass_seconds(1)
        return tenants

    def test_of_a_long_line_has_the_first_jobs_and_a_sample_of_the_others(self, store, long_line):
        outlook = store.outlook(QUEUE)
        assert outlook.length == len(long_line)
        assert [job.size.steps for job in outlook.line] == list(range(FIRST))
        sampled = [size.steps for size in outlook.samples]
        assert len(set(sampled)) == SAMPLES
        assert sampled == sorted(sampled)
        assert (min(sampled) - FIRST, len(long_line) - max(sampled)) == (1, 2)
        assert outlook.waiting == {"acme": FIRST + 2 * SAMPLES}

    def test_of_a_long_line_has_some_jobs_of_the_first_tenants_as_well_where_there_are_caps(
        self, store, long_line
    ):
        store.set_caps("acme", Caps(in_progress=1))
        outlook = store.outlook(QUEUE)
        extra = outlook.line[FIRST:]
        assert [job.place.tenant for job in extra] == [f"t{number}" for number in range(TENANTS - 1)] * 2
        assert outlook.waiting == {"acme": FIRST + 2 * SAMPLES} | {job.place.tenant: 2 for job in extra}
        assert list(outlook.line) == sorted(outlook.line, key=lambda job: job.place)


class TestReads:
    def test_find_and_count_by_state_tenant_and_queue(self, store):
        for number in range(12):
            submitted(store, number, tenant=f"t{number % 2}", queue=f"q{number % 3}")
        for number in (0, 1, 6):
            store.cancel(f"job_{number:04}")
        cases = {
            JobFilter(): {*range(12)},
            JobFilter(tenant="t0"): {0, 2, 4, 6, 8, 10},
            JobFilter(queue="q1"): {1, 4, 7, 10},
            JobFilter(state=JobState.CANCELLED): {0, 1, 6},
            JobFilter(tenant="t0", queue="q0", state=JobState.CANCELLED): {0, 6},
            JobFilter(tenant="t1", state=JobState.QUEUED): {3, 5, 7, 9, 11},
            JobFilter(tenant="nobody"): set(),
        }
        for which, numbers in cases.items():
            expected = [f"job_{number:04}" for number in sorted(numbers, reverse=True)]
            assert [job.id for job in store.find(which, limit=50)] == expected
            assert store.count(which) == len(expected)

    def test_pages_are_newest_first_and_do_not_overlap(self, store):
        for number in range(7):
            submitted(store, number, queue=f"q{number % 2}")
        pages, before = [], None
        while page := store.find(JobFilter(), limit=3, before=before):
            pages.append([int(job.id[-4:]) for job in page])
            before = page[-1].id
        assert pages == [[6, 5, 4], [3, 2, 1], [0]]

    def test_a_queued_job_knows_how_many_are_ahead_of_it(self, store):
        for number in (1, 2, 3):
            submitted(store, number)
        submitted(store, 4, queue="ti2v-5B")
        assert [store.get(f"job_{number:04}").ahead for number in (1, 2, 3, 4)] == [0, 1, 2, 0]
        store.claim(QUEUE, "w1")
        assert [store.get(f"job_{number:04}").ahead for number in (1, 2, 3)] == [None, 0, 1]

    def test_paces_learn_from_successes_only(self, store, clock):
        assert store.paces(QUEUE) == {}
        for number, seconds in enumerate((10, 20)):
            job = claimed(store, number)
            clock.pass_seconds(seconds)
            store.succeed(job.lease, {})
        job = claimed(store, 3)
        clock.pass_seconds(1)
        store.fail(job.lease, OOM)
        (average,) = store.paces(QUEUE).values()
        assert (average.per_step, average.rest) == (0, pytest.approx(12.0))
        assert store.paces("ti2v-5B") == {}

    def test_paces_tell_steps_from_the_rest_for_each_kind(self, store, clock):
        for number, (kind, step_seconds) in enumerate([("a", 2), ("a", 7), ("b", 4)]):
            job = claimed(store, number, pace_key=kind)
            clock.pass_seconds(30)  # loading
            for step in (11, 12, 13):  # it went on from a checkpoint
                clock.pass_seconds(step_seconds)
                store.heartbeat(job.lease, Progress("denoising", step, 13))
            clock.pass_seconds(10)  # decoding, encoding
            store.heartbeat(job.lease, Progress("encoding", 13, 13))
            store.succeed(job.lease, {})
        paces = store.paces(QUEUE)
        assert {kind: (pace.per_step, pace.rest) for kind, pace in paces.items() if kind != ANY_KIND} == {
            "a": (pytest.approx(3), pytest.approx(40)),
            "b": (pytest.approx(4), pytest.approx(40)),
        }

    def test_paces_of_jobs_with_too_few_steps_tell_of_any_kind_alone(self, store):
        job = claimed(store, pace_key="a")
        store.heartbeat(job.lease, Progress("denoising", 1, 1))
        store.succeed(job.lease, {})
        assert list(store.paces(QUEUE)) == [ANY_KIND]

    def test_workers_are_those_heard_of_lately(self, store, clock):
        store.announce("w1", ["a", "b"])
        clock.pass_seconds(50)
        store.announce("w2", ["b"])
        store.announce("w3", ["b"])
        store.retire("w3")
        assert [(worker.name, worker.queues) for worker in store.workers()] == [
            ("w1", ("a", "b")),
            ("w2", ("b",)),
        ]
        clock.pass_seconds(11)
        assert [worker.name for worker in store.workers()] == ["w2"]

    def test_workers_take_jobs_of_all_their_queues_but_those_that_they_leave_alone(self, store):
        store.announce("w1", ["a", "b"])
        store.announce("w2", ["a", "b"], ["b"])
        store.announce("w3", ["a", "b"], [])
        assert [(worker.queues, worker.taken) for worker in store.workers()] == [
            (("a", "b"), ("a", "b")),
            (("a", "b"), ("b",)),
            (("a", "b"), ()),
        ]

    def test_workers_not_heard_of_lately_are_buried(self, store, clock):
        store.announce("w1", ["a"])
        clock.pass_seconds(61)
        store.announce("w2", ["a"])
        store.bury()
        clock.time -= 30
        assert [worker.name for worker in store.workers()] == ["w2"]

    def test_the_clock_is_the_injected_one(self, store, clock):
        assert store.now() == clock.time
        store.ping()
