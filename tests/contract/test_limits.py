"""Limits: kept for each tenant, and held by token buckets."""

import pytest

from jobs.limits import Allowance, Limits, LimitStore
from jobs.store_redis import connect


class Clock:
    time = 1_763_000_000.0

    def __call__(self) -> float:
        return self.time


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def limits(redis_url, clock) -> LimitStore:
    return LimitStore(connect(redis_url), clock=clock)


def test_a_tenant_has_limits_of_its_own_until_they_are_taken_back(limits):
    assert limits.of("acme") is None
    own = Limits(requests_per_minute=60, gpu_seconds_per_day=3600.5)
    limits.give("acme", own)
    assert limits.of("acme") == own
    assert limits.all() == {"acme": own}
    limits.give("acme", None)
    assert limits.of("acme") is None


@pytest.mark.parametrize("wrong", [{"requests_per_minute": 0}, {"gpu_seconds_per_day": -1}])
def test_limits_that_are_none_are_refused(wrong):
    with pytest.raises(ValueError, match="is at least"):
        Limits(**wrong)


def test_a_full_bucket_gives_all_of_its_requests_at_once_and_then_none(limits):
    assert [limits.take("k", 3).remaining for _ in range(3)] == [2, 1, 0]
    assert limits.take("k", 3) == Allowance(3, 0, 60, 20)


def test_a_bucket_fills_evenly(limits, clock):
    for _ in range(3):
        limits.take("k", 3)
    clock.time += 19.9
    assert limits.take("k", 3).retry_seconds == 1
    clock.time += 0.1
    assert limits.take("k", 3) == Allowance(3, 0, 60, None)
    clock.time += 40
    assert [limits.take("k", 3).retry_seconds for _ in range(3)] == [None, None, 20]


def test_what_is_refused_costs_nothing(limits, clock):
    for _ in range(10):
        limits.take("k", 3)
    clock.time += 20
    assert limits.take("k", 3).retry_seconds is None


@pytest.mark.parametrize("limit", [1, 7, 600, 99_991])
def test_any_limit_allows_exactly_so_many(limits, limit):
    assert limits.take("k", limit).remaining == limit - 1
    taken = 1 + sum(limits.take("k", limit).retry_seconds is None for _ in range(min(limit, 700)))
    assert taken == min(limit, 701)


def test_a_limit_beyond_what_a_clock_can_tell_apart_limits_nobody(limits):
    assert [limits.take("k", 10**9).retry_seconds for _ in range(3)] == [None] * 3


def test_buckets_do_not_mix_and_do_not_stay(limits, redis_url):
    limits.take("one", 1)
    assert limits.take("other", 1).retry_seconds is None
    with connect(redis_url) as redis:
        assert 0 < redis.pttl("wan:rate:one") <= 60_000


def test_without_a_clock_of_its_own_it_goes_by_the_servers(redis_url):
    limits = LimitStore(connect(redis_url))
    assert [limits.take("k", 1).retry_seconds is None for _ in range(2)] == [True, False]
