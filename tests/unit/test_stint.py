"""How much a worker does on one message."""

import pytest
from redis import Redis

from jobs.dispatch import Dispatcher
from jobs.errors import StoreUnavailableError
from tests.unit.worker_parts import QUEUE, Clock
from workers.stint import STINT_SECONDS, Stint

OTHER_QUEUE = "ti2v-5B"


class Messages(Dispatcher):
    """So many messages of one queue."""

    def __init__(self, count: int) -> None:
        super().__init__(Redis(port=1))  # which nobody asks
        self.count = count
        self.away = False

    def take(self, queue: str) -> bool:
        if self.away:
            raise StoreUnavailableError("away")
        if queue != QUEUE or not self.count:
            return False
        self.count -= 1
        return True


class Bench:
    """A stint, and what its runs do."""

    def __init__(self, messages: int, seconds: float) -> None:
        self.clock = Clock()
        self.messages = Messages(messages)
        self.seconds = seconds
        self.ran: list[str] = []
        self.over_after = 1000
        self.stint = Stint(
            self._run, self.messages, lambda _queue: len(self.ran) >= self.over_after, self.clock
        )

    def _run(self, queue: str) -> None:
        self.ran.append(queue)
        self.clock.sleep(self.seconds)


def test_short_jobs_are_run_one_after_another_as_long_as_there_are_messages():
    bench = Bench(messages=3, seconds=0.05)
    bench.stint.work(QUEUE)
    assert (bench.ran, bench.messages.count) == ([QUEUE] * 4, 0)


def test_a_stint_is_soon_over():
    bench = Bench(messages=100, seconds=STINT_SECONDS / 4)
    bench.stint.work(QUEUE)
    assert (len(bench.ran), bench.messages.count) == (4, 97)


def test_a_long_job_is_all_that_its_message_leads_to():
    bench = Bench(messages=5, seconds=60)
    bench.stint.work(QUEUE)
    assert (len(bench.ran), bench.messages.count) == (1, 5)


def test_messages_of_other_queues_are_left_to_celery():
    bench = Bench(messages=5, seconds=0.05)
    bench.stint.work(OTHER_QUEUE)
    assert (bench.ran, bench.messages.count) == ([OTHER_QUEUE], 5)


def test_a_worker_that_shuts_down_or_broke_takes_no_further_message():
    bench = Bench(messages=5, seconds=0.05)
    bench.over_after = 2
    bench.stint.work(QUEUE)
    assert (len(bench.ran), bench.messages.count) == (2, 4)


def test_a_broker_that_is_away_ends_the_stint_and_no_more():
    bench = Bench(messages=5, seconds=0.05)
    bench.messages.away = True
    bench.stint.work(QUEUE)
    assert bench.ran == [QUEUE]


def test_what_breaks_a_run_is_not_hidden():
    def breaks(_queue: str) -> None:
        raise StoreUnavailableError("No claim could be made.")

    with pytest.raises(StoreUnavailableError):
        Stint(breaks, Messages(1), lambda _queue: False).work(QUEUE)
