"""One suite for every JobStore: requests that are answered with a job that is there."""

from dataclasses import replace

import pytest

from jobs.errors import KeyReservedError, KeyUsedError, TooManyJobsError
from jobs.policy import Caps
from jobs.state import IdempotencyKey, JobFilter
from tests.contract.job_store_helpers import QUEUE, claimed, submitted


class TestIdempotency:
    KEY = IdempotencyKey("client key £ 1", "same", "t1")

    def test_answers_the_same_request_with_the_same_job_in_any_state(self, store):
        first = submitted(store, 1, idempotency=self.KEY)
        again = replace(self.KEY, token="t2")
        assert submitted(store, 2, idempotency=again) == first
        done = store.succeed(store.claim(QUEUE, "w1").lease, {})
        assert submitted(store, 3, idempotency=again) == done
        assert store.count(JobFilter()) == 1

    def test_refuses_another_request_under_the_same_key(self, store):
        submitted(store, 1, idempotency=self.KEY)
        with pytest.raises(KeyUsedError):
            submitted(store, 2, idempotency=replace(self.KEY, fingerprint="other"))

    def test_keeps_the_keys_of_tenants_apart(self, store):
        for number, tenant in enumerate("ab"):
            assert submitted(store, number, tenant=tenant, idempotency=self.KEY).tenant == tenant

    def test_forgets_a_key_after_its_time_and_with_its_job(self, store, clock):
        submitted(store, 1, idempotency=self.KEY)
        clock.pass_seconds(24 * 3600)
        assert submitted(store, 2, idempotency=self.KEY).id == "job_0002"
        store.cancel("job_0002")
        store.remove("job_0002")
        assert submitted(store, 3, idempotency=replace(self.KEY, fingerprint="other")).id == "job_0003"

    def test_refuses_a_key_that_another_request_has_reserved(self, store):
        store.reserve("default", self.KEY.key, "t1")
        store.reserve("default", self.KEY.key, "t1")
        store.reserve("acme", self.KEY.key, "t2")
        with pytest.raises(KeyReservedError):
            store.reserve("default", self.KEY.key, "t2")
        with pytest.raises(KeyReservedError):
            submitted(store, 1, idempotency=replace(self.KEY, token="t2"))
        assert submitted(store, 1, idempotency=self.KEY).id == "job_0001"
        store.reserve("default", self.KEY.key, "t2")  # used by now, so that the submit will tell

    def test_frees_a_reservation_that_is_given_up_or_left(self, store, clock):
        store.reserve("default", self.KEY.key, "t1")
        store.unreserve("default", self.KEY.key, "t2")
        with pytest.raises(KeyReservedError):
            store.reserve("default", self.KEY.key, "t3")
        store.unreserve("default", self.KEY.key, "t1")
        store.reserve("default", self.KEY.key, "t3")
        clock.pass_seconds(60)
        store.reserve("default", self.KEY.key, "t4")

    def test_a_key_that_was_used_is_not_given_up(self, store):
        submitted(store, 1, idempotency=self.KEY)
        store.unreserve("default", self.KEY.key, "t1")
        assert submitted(store, 2, idempotency=self.KEY).id == "job_0001"

    def test_a_refused_submit_uses_no_key(self, store):
        store.set_caps("default", Caps(queued=0))
        with pytest.raises(TooManyJobsError):
            submitted(store, 1, idempotency=self.KEY)
        store.set_caps("default", None)
        assert submitted(store, 2, idempotency=replace(self.KEY, fingerprint="other")).id == "job_0002"


class TestReuse:
    def test_answers_with_a_completed_job_of_the_same_digest(self, store):
        done = store.succeed(claimed(store, 1, digest="d").lease, {"artifact": "a.mp4"})
        assert submitted(store, 2, digest="d", reuse=True) == done
        assert store.count(JobFilter()) == 1

    @pytest.mark.parametrize(
        "changes", [{"digest": "e"}, {"reuse": False}, {"tenant": "acme"}, {"digest": ""}], ids=str
    )
    def test_makes_another_job_of_anything_else(self, store, changes):
        store.succeed(claimed(store, 1, digest="d").lease, {})
        named = {"digest": "d", "reuse": True} | changes
        assert submitted(store, 2, **named).id == "job_0002"

    def test_takes_no_job_that_is_not_completed_or_is_gone(self, store):
        running = claimed(store, 1, digest="d")
        assert submitted(store, 2, digest="d", reuse=True).id == "job_0002"
        store.succeed(running.lease, {})
        store.remove(running.id)
        assert submitted(store, 3, digest="d", reuse=True).id == "job_0003"

    def test_tells_beforehand_which_job_it_would_answer_with(self, store):
        first, done = (
            store.succeed(claimed(store, number, digest="d").lease, {"number": number}) for number in (1, 2)
        )
        assert store.finished("default", "d") == done
        assert [store.finished(*other) for other in (("acme", "d"), ("default", "e"), ("default", ""))] == [
            None
        ] * 3
        store.remove(done.id)
        assert store.finished("default", "d") is None
        assert store.get(first.id) == first

    def test_counts_for_the_idempotency_key(self, store):
        done = store.succeed(claimed(store, 1, digest="d").lease, {})
        key = IdempotencyKey("k", "same")
        submitted(store, 2, digest="d", reuse=True, idempotency=key)
        store.succeed(claimed(store, 3, digest="d").lease, {})
        assert submitted(store, 4, digest="d", reuse=True, idempotency=key) == done
