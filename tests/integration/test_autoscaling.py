"""What an autoscaler counts in Redis, by the key that deploy/kubernetes names."""

from redis import Redis

from jobs.policy import Policy
from jobs.state import JobError, NewJob
from jobs.store_redis import RedisJobStore, connect

QUEUE = "ti2v-5B"


def test_jobs_count_as_work_for_as_long_as_they_are_queued_or_running(redis_url):
    store = RedisJobStore(connect(redis_url), Policy())
    for number in range(3):
        store.submit(NewJob(id=f"j{number}", queue=QUEUE, spec={}))
    with Redis.from_url(redis_url) as client:

        def work() -> int:
            return int(client.zcard(f"wan:active:{QUEUE}"))

        running = store.claim(QUEUE, "gpu0@a")
        assert running
        assert work() == 3
        store.release(running.lease)
        assert work() == 3
        failed = store.claim(QUEUE, "gpu0@a")
        assert failed
        store.retry(failed.lease, JobError("broken", "It broke."), 3600)
        assert work() == 3
        again = store.claim(QUEUE, "gpu0@a")
        assert again
        store.fail(again.lease, JobError("broken", "It broke."))
        assert work() == 2
        store.cancel("j2")
        assert work() == 1
        store.cancel("j0")  # which waits to be tried again
        assert work() == 0
