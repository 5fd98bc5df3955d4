"""The sweeps, over a real Redis with real messages in it and a clock that a test moves."""

import json
from concurrent.futures import ThreadPoolExecutor
from threading import Event, Thread
from typing import Any

import pytest
from redis import Redis

from jobs.artifacts_local import LocalArtifactStore
from jobs.dispatch import Dispatcher
from jobs.errors import ArtifactStoreUnavailableError, JobNotFoundError, StoreUnavailableError
from jobs.policy import Policy
from jobs.state import Job, JobError, JobFilter, JobState
from jobs.store_redis import RedisJobStore, connect
from tests.unit.worker_parts import PATIENCE_SECONDS, QUEUE, Clock, new_job
from workers.maintenance import Maintenance

POLICY = Policy(lease_seconds=30, max_attempts=2, retention_seconds=1000)
OTHER_QUEUE = "ti2v-5B"


class StuckArtifacts(LocalArtifactStore):
    """A directory where files of one name may be impossible to delete."""

    stuck: str | None = None

    def delete(self, key: str) -> None:
        if self.stuck and key.startswith(self.stuck):
            raise ArtifactStoreUnavailableError("The artifact directory is read-only.")
        super().delete(key)


class Bench:
    """A store, a broker on the same server, and the sweeper between them."""

    def __init__(self, url: str, artifacts: LocalArtifactStore) -> None:
        self.clock = Clock()
        self.redis = Redis.from_url(url)
        self.store = RedisJobStore(connect(url), POLICY, clock=self.clock)
        self.artifacts = artifacts
        self.dispatcher = Dispatcher(connect(url))
        self.maintenance = self.sweeper(self.store)

    def close(self) -> None:
        self.redis.close()

    def sweeper(self, store: RedisJobStore) -> Maintenance:
        return Maintenance(
            store,
            self.artifacts,
            self.dispatcher,
            [QUEUE, OTHER_QUEUE],
            lease_seconds=POLICY.lease_seconds,
            clock=self.clock,
        )

    def submit(self, number: int, **changes: Any) -> Job:
        """As a gateway does. Ten seconds pass."""
        job = self.store.submit(new_job(number, **changes))
        self.clock.sleep(10)
        return job

    def claimed(self, number: int) -> Job:
        self.submit(number)
        return self.take()

    def take(self) -> Job:
        """Receive a message and claim a job, as a worker does."""
        job = self.store.claim(self.receive(), "w1")
        assert job
        return job

    def messages(self, queue: str = QUEUE) -> int:
        return self.dispatcher.waiting(queue)

    def receive(self) -> str:
        """The queue that the next message names."""
        message = self.redis.rpop(QUEUE)
        assert isinstance(message, bytes)
        (queue,), _, _ = json.loads(json.loads(message)["body"])
        return str(queue)

    def lose_messages(self) -> None:
        self.redis.delete(QUEUE, OTHER_QUEUE)


@pytest.fixture
def bench(redis_url, tmp_path):
    bench = Bench(redis_url, StuckArtifacts(tmp_path / "artifacts"))
    yield bench
    bench.close()


class TestRescue:
    def test_sends_a_job_whose_worker_fell_silent_round_again(self, bench):
        job = bench.claimed(1)
        bench.clock.sleep(31)
        bench.maintenance.rescue()
        assert bench.store.get(job.id).state is JobState.QUEUED
        assert bench.messages() == 1

    def test_leaves_a_job_whose_lease_is_renewed_alone(self, bench):
        job = bench.claimed(1)
        for _ in range(3):
            bench.clock.sleep(20)
            bench.store.heartbeat(job.lease)
            bench.maintenance.rescue()
        assert bench.store.get(job.id).lease == job.lease
        assert bench.messages() == 0

    def test_by_many_at_once_costs_each_job_one_attempt_and_one_message(self, bench):
        jobs = [bench.claimed(number) for number in range(40)]
        bench.clock.sleep(1000)
        sweepers = [bench.sweeper(bench.store) for _ in range(8)]
        with ThreadPoolExecutor(len(sweepers)) as pool:
            list(pool.map(lambda sweeper: sweeper.rescue(), sweepers))
        assert {bench.store.get(job.id).failures for job in jobs} == {1}
        assert bench.messages() == len(jobs)

    def test_sends_no_message_for_a_job_that_has_no_attempts_left(self, bench):
        job = bench.claimed(1)
        bench.clock.sleep(31)
        bench.maintenance.rescue()
        bench.take()
        bench.clock.sleep(31)
        bench.maintenance.rescue()
        assert bench.store.get(job.id).state is JobState.FAILED
        assert bench.messages() == 0


class AwayStore(RedisJobStore):
    """A store that may be away."""

    away = False

    def ping(self) -> None:
        if self.away:
            raise StoreUnavailableError("The store is away.")
        super().ping()


class TestRescueAfterTheStoreWasAway:
    @pytest.fixture
    def store(self, redis_url, bench) -> AwayStore:
        return AwayStore(connect(redis_url), POLICY, clock=bench.clock)

    def absence(self, bench: Bench, store: AwayStore, seconds: float) -> Maintenance:
        """A sweeper that found the store away for so long, and has just found it again."""
        maintenance = bench.sweeper(store)
        store.away = True
        for _ in range(2):
            with pytest.raises(StoreUnavailableError):
                maintenance.rescue()
            bench.clock.sleep(seconds / 2)
        store.away = False
        maintenance.rescue()
        return maintenance

    def test_it_is_told_of_once_when_it_goes_and_once_when_it_is_back(self, bench, store, caplog):
        caplog.set_level("INFO", "workers.maintenance")
        maintenance = bench.sweeper(store)
        store.away = True
        for _ in range(50):
            maintenance.sweep()
            bench.clock.sleep(1)
        store.away = False
        maintenance.sweep()
        assert caplog.messages == ["The store is away.", "The job store answers again, after 50 s"]

    def test_the_heartbeats_of_living_workers_come_first(self, bench, store):
        alive, dead = bench.claimed(1), bench.claimed(2)
        maintenance = self.absence(bench, store, 3600)
        bench.store.heartbeat(alive.lease)
        bench.clock.sleep(29)
        maintenance.rescue()
        assert [bench.store.get(job.id).failures for job in (alive, dead)] == [0, 0]
        bench.store.heartbeat(alive.lease)
        bench.clock.sleep(1)
        maintenance.rescue()
        assert [bench.store.get(job.id).failures for job in (alive, dead)] == [0, 1]

    def test_a_short_absence_delays_nothing(self, bench, store):
        dead = bench.claimed(1)
        bench.clock.sleep(25)
        self.absence(bench, store, 9)
        assert bench.store.get(dead.id).failures == 1


class TestExpire:
    def test_ends_jobs_that_waited_longer_than_they_were_willing_to(self, bench):
        hasty, patient = bench.submit(1, expires_in=15), bench.submit(2, expires_in=60)
        bench.maintenance.expire()
        assert bench.store.get(hasty.id).state is JobState.EXPIRED
        assert bench.store.get(patient.id).state is JobState.QUEUED

    def test_fails_an_attempt_that_takes_too_long(self, bench):
        bench.submit(1, timeout=25)
        job = bench.take()
        bench.clock.sleep(25)
        bench.store.heartbeat(job.lease)
        bench.maintenance.sweep()
        assert bench.store.get(job.id).state is JobState.FAILED


class TestPromote:
    def test_has_a_job_tried_again_when_its_wait_is_over(self, bench):
        bench.store.retry(bench.claimed(1).lease, JobError("device_fault", "It broke."), 20)
        bench.clock.sleep(19)
        bench.maintenance.sweep()
        assert (bench.messages(), bench.store.claim(QUEUE, "w2")) == (0, None)
        bench.clock.sleep(1)
        bench.maintenance.sweep()
        bench.maintenance.sweep()
        assert bench.messages() == 1
        assert bench.take().attempt == 2


class TestBury:
    def test_forgets_workers_that_went_without_a_word(self, bench):
        bench.store.announce("w1", [QUEUE])
        bench.clock.sleep(3600)
        bench.store.announce("w2", [QUEUE])
        bench.maintenance.bury()
        assert bench.redis.hkeys("wan:workers") == [b"w2"]


class TestPrune:
    @pytest.fixture
    def outdated(self, bench, tmp_path) -> Job:
        """A completed job with the files of two attempts, past its retention."""
        job = bench.claimed(1)
        video = tmp_path / "video.mp4"
        video.write_bytes(b"video")
        for attempt in (1, 2):
            bench.artifacts.put(f"{job.id}/{attempt}.mp4", video)
        bench.artifacts.put(f"{job.id}0/1.mp4", video)  # of a job whose id merely begins like it
        done: Job = bench.store.succeed(job.lease, {"artifact": f"{job.id}/2.mp4"})
        bench.clock.sleep(POLICY.retention_seconds + 1)
        return done

    def test_removes_every_file_of_the_job_and_its_record(self, bench, outdated):
        bench.maintenance.prune()
        assert [artifact.key for artifact in bench.artifacts.find()] == [f"{outdated.id}0/1.mp4"]
        with pytest.raises(JobNotFoundError):
            bench.store.get(outdated.id)

    def test_keeps_the_record_while_its_files_cannot_be_removed(self, bench, outdated):
        bench.artifacts.stuck = outdated.id
        bench.maintenance.sweep()
        assert bench.store.get(outdated.id).state is JobState.COMPLETED
        bench.artifacts.stuck = None
        bench.maintenance.sweep()
        assert bench.store.outdated() == []

    def test_goes_on_to_the_other_jobs_when_the_files_of_one_cannot_be_removed(self, bench, outdated):
        bench.store.cancel(bench.submit(2).id)
        bench.clock.sleep(POLICY.retention_seconds + 1)
        bench.artifacts.stuck = outdated.id
        bench.maintenance.prune()
        assert bench.store.outdated() == [outdated.id]

    def test_keeps_what_is_within_its_retention(self, bench):
        job = bench.claimed(1)
        bench.store.succeed(job.lease, {})
        bench.clock.sleep(POLICY.retention_seconds - 1)
        bench.maintenance.prune()
        assert bench.store.get(job.id).state is JobState.COMPLETED


class TestRelay:
    def test_sends_as_many_messages_again_as_a_purged_queue_has_lost(self, bench):
        for number in (1, 2, 3):
            bench.submit(number)
        bench.lose_messages()
        for _ in range(4):
            bench.maintenance.relay()
        assert bench.messages() == 3

    def test_serves_every_queue(self, bench):
        bench.submit(1)
        bench.submit(2, queue=OTHER_QUEUE)
        bench.lose_messages()
        for _ in range(2):
            bench.maintenance.relay()
        assert [bench.messages(), bench.messages(OTHER_QUEUE)] == [1, 1]

    def test_sends_what_was_missing_at_the_last_sweep_too_and_leaves_the_rest_the_time_to_arrive(self, bench):
        bench.submit(1)
        bench.lose_messages()
        bench.maintenance.relay()
        assert bench.messages() == 0
        bench.submit(2)
        bench.lose_messages()
        bench.maintenance.relay()
        assert bench.messages() == 1
        bench.maintenance.relay()
        assert bench.messages() == 2

    def test_sends_nothing_when_the_job_was_claimed_meanwhile(self, bench):
        bench.submit(1)
        queue = bench.receive()
        bench.maintenance.relay()
        assert bench.store.claim(queue, "w1")
        for _ in range(2):
            bench.maintenance.relay()
        assert bench.messages() == 0

    def test_adds_nothing_to_a_backlog_however_long_it_waits(self, bench):
        for number in range(20):
            bench.submit(number)
        for _ in range(3):
            bench.clock.sleep(24 * 3600)
            bench.maintenance.relay()
        assert bench.messages() == 20

    def test_adds_nothing_to_a_backlog_that_is_being_worked_off(self, bench):
        for number in range(5):
            bench.submit(number)
        for left in (4, 3, 2, 1, 0):
            bench.take()
            bench.maintenance.relay()
            bench.maintenance.relay()
            assert bench.messages() == left

    def test_sends_no_flood_at_once(self, bench):
        for number in range(120):
            bench.submit(number)
        bench.lose_messages()
        sent = [bench.maintenance.relay() or bench.messages() for _ in range(3)]
        assert sent == [0, 100, 120]

    def test_needs_no_message_for_jobs_that_are_running_or_over(self, bench):
        bench.claimed(1)
        bench.store.cancel(bench.submit(2).id)
        bench.lose_messages()
        for _ in range(3):
            bench.maintenance.relay()
        assert bench.messages() == 0

    def test_a_message_that_it_sent_wakes_a_worker_of_the_queue(self, bench):
        bench.submit(1)
        bench.lose_messages()
        for _ in range(2):
            bench.maintenance.relay()
        assert bench.receive() == QUEUE


class LostMessages(Dispatcher):
    """Finds no message, and notes the queues that it was asked to wake."""

    def __init__(self) -> None:
        self.woken: list[str] = []

    def waiting(self, queue: str) -> int:
        return 0

    def wake(self, queue: str) -> None:
        self.woken.append(queue)


class Unlucky(RedisJobStore):
    """Cannot rescue: the first duty of every sweep breaks."""

    error: Exception = StoreUnavailableError("The store is away.")

    def rescue(self, limit: int = 100) -> list[Job]:
        raise self.error


class TestASweep:
    @pytest.mark.parametrize(
        "error", [StoreUnavailableError("away"), RuntimeError("Nobody thought of this.")]
    )
    def test_does_every_other_duty_when_one_breaks(self, redis_url, tmp_path, error):
        clock = Clock()
        store = Unlucky(connect(redis_url), POLICY, clock=clock)
        store.error = error
        messages = LostMessages()
        maintenance = Maintenance(store, LocalArtifactStore(tmp_path), messages, [QUEUE], lease_seconds=30)
        late, over, lost = (
            store.submit(new_job(number, expires_in=expires_in)).id
            for number, expires_in in ((1, 5), (2, None), (3, None))
        )
        store.cancel(over)
        clock.sleep(POLICY.retention_seconds + 1)
        for _ in range(2):
            maintenance.sweep()
        assert store.get(late).state is JobState.EXPIRED
        assert (messages.woken, [job.id for job in store.find(JobFilter(state=JobState.QUEUED))]) == (
            [QUEUE],
            [lost],
        )
        with pytest.raises(JobNotFoundError):
            store.get(over)

    def test_comes_round_until_it_is_stopped_also_while_files_take_long_to_delete(self, redis_url, tmp_path):
        stopped, pruning, third, go_on = Event(), Event(), Event(), Event()

        class Counting(Maintenance):
            rescues = 0

            def rescue(self) -> None:
                self.rescues += pruning.is_set()
                if self.rescues == 3:
                    third.set()

            def prune(self) -> None:
                pruning.set()
                assert go_on.wait(PATIENCE_SECONDS)

        store = Unlucky(connect(redis_url), POLICY)
        maintenance = Counting(store, LocalArtifactStore(tmp_path), LostMessages(), [], lease_seconds=30)
        sweeper = Thread(target=maintenance.run, args=(stopped, 0.01))
        sweeper.start()
        assert third.wait(PATIENCE_SECONDS)
        stopped.set()
        go_on.set()
        sweeper.join(PATIENCE_SECONDS)
        assert not sweeper.is_alive()
