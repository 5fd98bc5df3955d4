"""The sweeps, over a real Redis with real messages in it and a clock that a test moves."""

import json
from threading import Event, Thread
from typing import Any

import pytest
from redis import Redis

from jobs.artifacts_local import LocalArtifactStore
from jobs.dispatch import Dispatcher
from jobs.embedded import broker_url
from jobs.errors import ArtifactStoreUnavailableError, JobNotFoundError, StoreUnavailableError
from jobs.policy import Policy
from jobs.state import Job, JobState
from jobs.store_redis import RedisJobStore, connect
from tests.unit.worker_parts import PATIENCE_SECONDS, QUEUE, Clock, NotedNudges, new_job
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
        self.dispatcher = Dispatcher(broker_url(url))
        self.maintenance = Maintenance(self.store, artifacts, self.dispatcher, [QUEUE, OTHER_QUEUE])

    def close(self) -> None:
        self.dispatcher.close()
        self.redis.close()

    def submit(self, number: int, **changes: Any) -> Job:
        """As a gateway does: the record, then the message. Ten seconds pass."""
        job = self.store.submit(new_job(number, **changes))
        self.dispatcher.nudge(job)
        self.clock.sleep(10)
        return job

    def claimed(self, number: int) -> Job:
        self.submit(number)
        job = self.store.claim(self.receive(), "w1")
        assert job
        return job

    def messages(self, queue: str = QUEUE) -> list[str]:
        """Job ids of the waiting messages, the one that is received next first."""
        waiting = self.redis.lrange(queue, 0, -1)
        return [json.loads(message)["headers"]["id"] for message in reversed(waiting)]

    def receive(self) -> str:
        """Take the next message, as a worker does."""
        message = self.redis.rpop(QUEUE)
        assert isinstance(message, bytes)
        return str(json.loads(message)["headers"]["id"])

    def lose(self, place: int) -> None:
        """Lose one message, counted from the one that is received next."""
        message: Any = self.redis.lindex(QUEUE, -1 - place)
        assert self.redis.lrem(QUEUE, 1, message) == 1


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
        assert bench.messages() == [job.id]

    def test_leaves_a_job_whose_lease_is_renewed_alone(self, bench):
        job = bench.claimed(1)
        for _ in range(3):
            bench.clock.sleep(20)
            bench.store.heartbeat(job.lease)
            bench.maintenance.rescue()
        assert bench.store.get(job.id).lease == job.lease
        assert bench.messages() == []

    def test_sends_no_message_for_a_job_that_has_no_attempts_left(self, bench):
        job = bench.claimed(1)
        bench.clock.sleep(31)
        bench.maintenance.rescue()
        bench.store.claim(bench.receive(), "w1")
        bench.clock.sleep(31)
        bench.maintenance.rescue()
        assert bench.store.get(job.id).state is JobState.FAILED
        assert bench.messages() == []


class TestExpire:
    def test_ends_jobs_that_waited_longer_than_they_were_willing_to(self, bench):
        hasty, patient = bench.submit(1, expires_in=15), bench.submit(2, expires_in=60)
        bench.maintenance.expire()
        assert bench.store.get(hasty.id).state is JobState.EXPIRED
        assert bench.store.get(patient.id).state is JobState.QUEUED


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
    def test_sends_every_message_of_a_purged_queue_again_once_and_in_order(self, bench):
        jobs = [bench.submit(number).id for number in (1, 2, 3)]
        bench.redis.delete(QUEUE)
        for _ in range(3):
            bench.maintenance.relay()
        assert bench.messages() == jobs

    def test_serves_every_queue(self, bench):
        jobs = [bench.submit(1).id, bench.submit(2, queue=OTHER_QUEUE).id]
        bench.redis.delete(QUEUE, OTHER_QUEUE)
        bench.maintenance.relay()
        assert [bench.messages(), bench.messages(OTHER_QUEUE)] == [[jobs[0]], [jobs[1]]]

    def test_sends_a_message_lost_in_the_middle_again_once_those_before_it_are_taken(self, bench):
        first, second, third, fourth = (bench.submit(number).id for number in (1, 2, 3, 4))
        bench.lose(1)
        bench.maintenance.relay()
        assert bench.messages() == [first, third, fourth]
        bench.store.claim(bench.receive(), "w1")
        bench.maintenance.relay()
        assert bench.messages() == [third, fourth, second]

    def test_sends_the_message_of_the_oldest_job_again_before_any_other_is_taken(self, bench):
        first, second, third = (bench.submit(number).id for number in (1, 2, 3))
        bench.lose(0)
        bench.maintenance.relay()
        bench.maintenance.relay()
        assert bench.messages() == [second, third, first]

    def test_adds_nothing_to_a_backlog_however_long_it_waits(self, bench):
        jobs = [bench.submit(number).id for number in range(1, 21)]
        for _ in range(3):
            bench.clock.sleep(24 * 3600)
            bench.maintenance.relay()
        assert bench.messages() == jobs

    def test_adds_nothing_to_a_backlog_that_is_being_worked_off(self, bench):
        jobs = [bench.submit(number).id for number in range(1, 6)]
        while jobs:
            bench.store.claim(bench.receive(), "w1")
            del jobs[0]
            bench.clock.sleep(600)
            bench.maintenance.relay()
            assert bench.messages() == jobs

    def test_adds_nothing_for_a_job_that_went_back_behind_the_others(self, bench):
        first = bench.claimed(1)
        second, third = bench.submit(2), bench.submit(3)
        bench.dispatcher.nudge(bench.store.release(first.lease))
        bench.clock.sleep(3600)
        bench.maintenance.relay()
        assert bench.messages() == [second.id, third.id, first.id]

    def test_leaves_a_message_that_was_just_sent_the_time_to_be_received(self, bench):
        job = bench.store.submit(new_job(1))
        bench.clock.sleep(4.9)
        bench.maintenance.relay()
        assert bench.messages() == []
        bench.clock.sleep(0.2)
        bench.maintenance.relay()
        assert bench.messages() == [job.id]

    @pytest.mark.parametrize("removed", [False, True])
    def test_waits_until_a_stale_message_in_front_is_thrown_away(self, bench, removed):
        stale, lost, waiting = (bench.submit(number).id for number in (1, 2, 3))
        bench.store.cancel(stale)
        if removed:
            bench.store.remove(stale)
        bench.lose(1)
        bench.maintenance.relay()
        assert bench.messages() == [stale, waiting]
        assert bench.store.claim(bench.receive(), "w1") is None
        bench.maintenance.relay()
        assert bench.messages() == [waiting, lost]

    def test_sends_nothing_for_jobs_that_are_running_or_over(self, bench):
        bench.claimed(1)
        bench.store.cancel(bench.submit(2).id)
        bench.redis.delete(QUEUE)
        bench.clock.sleep(3600)
        bench.maintenance.relay()
        assert bench.messages() == []


class EmptyQueues(NotedNudges):
    def oldest(self, queue: str) -> None:
        return None


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
        nudges = EmptyQueues()
        maintenance = Maintenance(store, LocalArtifactStore(tmp_path), nudges, [QUEUE])
        late, over, lost = (
            store.submit(new_job(number, expires_in=expires_in)).id
            for number, expires_in in ((1, 5), (2, None), (3, None))
        )
        store.cancel(over)
        clock.sleep(POLICY.retention_seconds + 1)
        maintenance.sweep()
        assert store.get(late).state is JobState.EXPIRED
        assert nudges.nudged == [lost]
        with pytest.raises(JobNotFoundError):
            store.get(over)

    def test_comes_round_until_it_is_stopped(self, redis_url, tmp_path):
        stopped, third = Event(), Event()

        class Counting(Maintenance):
            sweeps = 0

            def sweep(self) -> None:
                super().sweep()
                self.sweeps += 1
                if self.sweeps == 3:
                    third.set()

        store = Unlucky(connect(redis_url), POLICY)
        maintenance = Counting(store, LocalArtifactStore(tmp_path), NotedNudges(), [])
        sweeper = Thread(target=maintenance.run, args=(stopped, 0.01))
        sweeper.start()
        assert third.wait(PATIENCE_SECONDS)
        stopped.set()
        sweeper.join(PATIENCE_SECONDS)
        assert not sweeper.is_alive()
