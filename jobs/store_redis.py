"""Job records in Redis, and the messages that wake workers: verbs.lua does the work, this speaks to it."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, astuple
from heapq import merge
from itertools import chain, islice
from typing import Any
from uuid import uuid4

from redis import Redis
from redis.backoff import ExponentialBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.retry import Retry

from jobs.answers import job_of, outlook_of, pace_of, worker_of
from jobs.dispatch import NUDGE
from jobs.errors import (
    GpuTimeSpentError,
    InvalidTransitionError,
    JobNotFoundError,
    KeyReservedError,
    KeyUsedError,
    LeaseLostError,
    QueueFullError,
    TooManyJobsError,
    WaitTooLongError,
)
from jobs.library import Library
from jobs.outlook import EACH, FIRST, RUNS, SAMPLES, TENANTS, Outlook
from jobs.policy import Caps, Policy
from jobs.redis_errors import unavailable
from jobs.state import (
    NOTES_KEPT,
    TRANSITIONS,
    Admission,
    Event,
    Job,
    JobError,
    JobFilter,
    JobState,
    Json,
    Lease,
    NewJob,
    Note,
    Pace,
    Progress,
    TenantEvent,
    Worker,
)

FEED_CHANNEL = "wan:feed"
"""Where verbs.lua tells of each event, under the prefix of the production store: "{tenant} {id} {type}"."""

_BEGINS = ("submit", "reserve")
_LOOKS = ("get", "get_all", "finished", "outlook", "claimable", "outdated", "spent")


def connect(url: str) -> Redis:
    """A client for the job store that answers or gives up within seconds.

    Repeating a command after a lost connection is safe: every verb is answered as the first time. A server
    that is there and says nothing is not asked twice.
    """
    return Redis.from_url(
        url,
        socket_timeout=2,
        socket_connect_timeout=2,
        health_check_interval=30,
        retry=Retry(ExponentialBackoff(cap=0.2, base=0.02), 1, (RedisConnectionError,)),
    )


class RedisJobStore:
    """The JobStore on Redis 7 or newer or Valkey, not in cluster mode (nor is Celery's broker).

    ``clock`` replaces the server's clock, in Unix seconds; production leaves it out.
    """

    def __init__(
        self,
        redis: Redis,
        policy: Policy,
        *,
        prefix: str = "wan:",
        clock: Callable[[], float] | None = None,
    ) -> None:
        self._redis = redis
        self._policy = policy
        self._prefix = prefix
        self._clock = clock
        self._caps = _caps(policy.caps)
        self._library = Library(redis, "verbs.lua", begins=_BEGINS, looks=_LOOKS, prelude=_prelude())

    def submit(self, new: NewJob) -> Job:
        return self.submit_all([new])[0]

    def submit_all(self, news: Sequence[NewJob]) -> list[Job]:
        first, *others = news
        told = chain.from_iterable((new.id, _json(new.spec), json.dumps(self._told(new))) for new in news)
        answer = self._call("submit", first.queue, first.tenant, *told)
        if answer[0] == b"new":
            _, at, *ahead = answer
            return [Job.queued(new, at / 1000, place) for new, place in zip(news, ahead, strict=True)]
        found = job_of(answer)
        return [found, *self._get_all([new.id for new in others])] if found.id == first.id else [found]

    def reserve(self, tenant: str, key: str, token: str) -> None:
        self._call("reserve", tenant, _key_name(key), token, _ms(self._policy.reservation_seconds))

    def unreserve(self, tenant: str, key: str, token: str) -> None:
        self._call("unreserve", tenant, _key_name(key), token)

    def cancel(self, job_id: str) -> Job:
        return job_of(self._call("cancel", job_id))

    def remove(self, job_id: str) -> None:
        self._call("remove", job_id)

    def claim(self, queue: str, worker: str, nonce: str | None = None) -> Job | None:
        lease = _ms(self._policy.lease_seconds)
        nonce, passed_over = nonce or uuid4().hex, 0
        while (answer := self._run("claim", queue, worker, lease, nonce, passed_over))[0] == b"again":
            passed_over = answer[1]
        return None if answer[0] == b"refused" else job_of(answer)

    def heartbeat(self, lease: Lease, progress: Progress | None = None) -> bool:
        told = astuple(progress or Progress())
        answer = self._held("heartbeat", lease, _ms(self._policy.lease_seconds), *told)
        return bool(answer[1])

    def succeed(self, lease: Lease, result: Json) -> Job:
        return job_of(self._held("succeed", lease, _json({"result": result})))

    def retry(self, lease: Lease, error: JobError, delay: float = 0) -> Job:
        return job_of(self._held("retry", lease, error.code, error.message, _ms(delay)))

    def release(self, lease: Lease) -> Job:
        return job_of(self._held("release", lease))

    def fail(self, lease: Lease, error: JobError) -> Job:
        return job_of(self._held("fail", lease, error.code, error.message))

    def annotate(self, job_id: str, notes: Sequence[Note], sent_at: float) -> None:
        told = [(_ms(note.at), note.level, note.attempt, note.text) for note in notes]
        self._run("annotate", job_id, _ms(sent_at), NOTES_KEPT, json.dumps(told))

    def announce(self, worker: str, queues: Sequence[str], taken: Sequence[str] | None = None) -> None:
        told = (queues, queues if taken is None else taken)
        self._call("announce", worker, *(json.dumps(list(names)) for names in told))

    def retire(self, worker: str) -> None:
        self._call("retire", worker)

    def bury(self) -> None:
        self._call("bury", _ms(self._policy.worker_silence_seconds))

    def set_caps(self, tenant: str, caps: Caps | None) -> None:
        self._call("set_caps", tenant, "" if caps is None else _caps(caps))

    def set_retention(self, tenant: str, seconds: float | None) -> None:
        self._call("set_retention", tenant, "" if seconds is None else _ms(seconds))

    def retentions(self) -> Mapping[str, float]:
        with unavailable():
            own: dict[Any, Any] = self._redis.hgetall(self._key("retentions"))
        return {tenant.decode(): int(milliseconds) / 1000 for tenant, milliseconds in own.items()}

    def rescue(self, limit: int = 100) -> list[Job]:
        return [job_of(answer) for answer in self._call("rescue", limit)[1:]]

    def expire(self, limit: int = 100) -> list[Job]:
        return [job_of(answer) for answer in self._call("expire", limit)[1:]]

    def promote(self, limit: int = 100) -> list[Job]:
        return [job_of(answer) for answer in self._call("promote", limit)[1:]]

    def claimable(self, queue: str) -> int:
        return int(self._call("claimable", queue)[1])

    def outdated(self, limit: int = 100) -> list[str]:
        return _texts(self._call("outdated", limit)[1])

    def get(self, job_id: str) -> Job:
        return job_of(self._call("get", job_id))

    def events(self, job_id: str, after: int = 0) -> list[Event]:
        with unavailable():
            entries = [json.loads(entry) for entry in self._redis.lrange(self._key("events", job_id), 0, -1)]
        if not entries:
            raise JobNotFoundError(job_id)
        return [_event(entry) for entry in entries if entry["id"] > after]

    def notes(self, job_id: str) -> list[Note]:
        with unavailable():
            reads = self._redis.pipeline(transaction=False)
            reads.exists(self._key("job", job_id))
            reads.lrange(self._key("notes", job_id), 0, -1)
            known, entries = reads.execute()
        if not known:
            raise JobNotFoundError(job_id)
        return [Note(at / 1000, *told) for at, *told in map(json.loads, entries)]

    def history(self, tenant: str, after: str = "0-0", limit: int = 100) -> list[TenantEvent]:
        with unavailable():
            page: Any = self._redis.xrange(self._key("history", tenant), min=f"({after}", count=limit)
            places = [(cursor.decode(), *fields[b"event"].decode().split()) for cursor, fields in page]
            jobs = list({job_id: None for _, job_id, _ in places})
            reads = self._redis.pipeline(transaction=False)
            for job_id in jobs:
                reads.lrange(self._key("events", job_id), 0, -1)
            logs = dict(zip(jobs, map(_by_id, reads.execute()), strict=True))
        return [
            TenantEvent(cursor, job_id, logs[job_id].get(int(number))) for cursor, job_id, number in places
        ]

    def history_end(self, tenant: str) -> str:
        with unavailable():
            newest: Any = self._redis.xrevrange(self._key("history", tenant), count=1)
        return newest[0][0].decode() if newest else "0-0"

    def find(
        self, which: JobFilter, limit: int = 20, before: str | None = None, *, oldest_first: bool = False
    ) -> list[Job]:
        begin, end = ("-", "+") if oldest_first else ("+", "-")
        with unavailable():
            ranges = self._redis.pipeline(transaction=False)
            for bucket in self._buckets(which):
                begin = f"({before}" if before else begin
                ranges.zrange(bucket, begin, end, desc=not oldest_first, bylex=True, offset=0, num=limit)
            page = list(islice(merge(*ranges.execute(), reverse=not oldest_first), limit))
        return self._get_all(page)  # without what was removed between the index and the record

    def count(self, which: JobFilter) -> int:
        with unavailable():
            reads = self._redis.pipeline(transaction=False)
            for bucket in self._buckets(which):
                reads.zcard(bucket)
            return sum(reads.execute())

    def spent(self, tenant: str) -> float:
        return int(self._call("spent", tenant)[1]) / 1000

    def finished(self, tenant: str, digest: str) -> Job | None:
        answer = self._run("finished", tenant, digest)
        return None if answer[0] == b"refused" else job_of(answer)

    def outlook(self, queue: str) -> Outlook:
        return outlook_of(self._call("outlook", queue, FIRST, TENANTS, EACH, SAMPLES, RUNS)[1])

    def paces(self, queue: str) -> Mapping[str, Pace]:
        with unavailable():
            learned: dict[Any, Any] = self._redis.hgetall(self._key("pace", queue))
        return {kind.decode(): pace_of(averages) for kind, averages in learned.items()}

    def workers(self) -> list[Worker]:
        with unavailable():
            said = self._redis.hgetall(self._key("workers"))
        heard_since = self.now() - self._policy.worker_silence_seconds
        workers = (worker_of(name, entry) for name, entry in said.items())
        return sorted(worker for worker in workers if worker.seen_at >= heard_since)

    def now(self) -> float:
        if self._clock:
            return self._clock()
        with unavailable():
            seconds, microseconds = self._redis.time()
        return float(seconds) + microseconds / 1e6

    def ping(self) -> None:
        with unavailable():
            self._redis.ping()

    def _told(self, new: NewJob) -> dict[str, Any]:
        """What the script needs to know of a new job beside its names and its spec; a record holds texts."""
        record = {
            "steps": str(new.steps),
            "priority": new.priority,
            "max": str(self._policy.max_attempts),
            "retention": str(_ms(self._policy.retention_seconds)),
            "request": new.request_id,
            "trace": new.traceparent,
            "pace": new.pace_key,
            "digest": new.digest,
        }
        if new.timeout is not None:
            record["timeout"] = str(_ms(new.timeout))
        told: dict[str, Any] = {"record": record, "reuse": new.reuse}
        if new.hook:
            told["hook"] = json.dumps(new.hook.told())
        told |= {name: most for name, most in _conditions(new.admission).items() if most is not None}
        if new.expires_in is not None:
            told["expires_in"] = _ms(new.expires_in)
        if key := new.idempotency:
            told |= {"key": _key_name(key.key), "fingerprint": key.fingerprint, "token": key.token}
            told["key_ms"] = _ms(self._policy.key_seconds)
        return told

    def _get_all(self, job_ids: Sequence[str]) -> list[Job]:
        """Those that are there, in this order; nothing is asked about none."""
        return [job_of(answer) for answer in self._call("get_all", *job_ids)[1:]] if job_ids else []

    def _held(self, verb: str, lease: Lease, *args: str | int) -> list[Any]:
        return self._call(verb, lease.job_id, lease.worker, lease.attempt, *args)

    def _call(self, verb: str, *args: str | int) -> list[Any]:
        answer = self._run(verb, *args)
        if answer[0] == b"refused":
            _raise_refusal(verb, args, *_texts(answer[1:]))
        return answer

    def _run(self, verb: str, *args: str | int) -> list[Any]:
        now = None if self._clock is None else _ms(self._clock())
        with unavailable():
            return self._library.call(verb, self._prefix, now, self._caps, *args)

    def _key(self, kind: str, name: str = "") -> str:
        return f"{self._prefix}{kind}:{name}" if name else f"{self._prefix}{kind}"

    def _buckets(self, which: JobFilter) -> Iterator[str]:
        """The index keys that hold exactly the matching jobs: at most one a queue and state."""
        queues = [which.queue] if which.queue else _texts(self._redis.smembers(self._key("queues")))
        states = [which.state] if which.state else list(JobState)
        for queue in queues:
            for state in states:
                yield self._key("index", f"{which.tenant or '*'}:{queue}:{state}")


def _prelude() -> str:
    """What verbs.lua takes over from Python: which transitions there are, and how a message looks."""
    allowed = ", ".join(
        f'["{t.verb} {t.source or "new"} {t.target}"] = true' for t in sorted(TRANSITIONS, key=str)
    )
    return f"local ALLOWED = {{ {allowed} }}\n{_nudge_source()}"


def _nudge_source() -> str:
    parts = re.split("{(queue|id|tag)}", NUDGE)
    told = " .. ".join(part if place % 2 else f"[==[{part}]==]" for place, part in enumerate(parts))
    return f"local function NUDGE(queue, id, tag) return {told} end"


def _raise_refusal(verb: str, args: tuple[str | int, ...], why: str, detail: str) -> None:
    subject = str(args[0])
    match why:
        case "missing":
            raise JobNotFoundError(subject)
        case "lease":
            raise LeaseLostError(subject, int(args[2]))
        case "cap":
            raise TooManyJobsError(str(args[1]))
        case "full":
            raise QueueFullError
        case "late":
            raise WaitTooLongError
        case "spent":
            raise GpuTimeSpentError(int(detail))
        case "key used":
            raise KeyUsedError
        case "key reserved":
            raise KeyReservedError
        case _:
            raise InvalidTransitionError(subject, verb, detail)


def _ms(seconds: float) -> int:
    return round(seconds * 1000)


def _json(value: Json) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _conditions(admission: Admission) -> dict[str, int | None]:
    seconds = admission.gpu_seconds
    return {
        "longest": admission.queue_length,
        "most_ahead": admission.ahead,
        "gpu_ms": None if seconds is None else _ms(seconds),
    }


def _caps(caps: Caps) -> str:
    return json.dumps({state: most for state, most in asdict(caps).items() if most is not None})


def _key_name(key: str) -> str:
    """A client's key as part of one of ours, whatever characters it has."""
    return hashlib.sha256(key.encode()).hexdigest()[:32]


def _texts(values: Any) -> list[str]:
    return [value.decode() for value in values]


def _event(entry: Json) -> Event:
    return Event(id=entry["id"], type=entry["type"], at=entry["at"] / 1000, data=entry["data"])


def _by_id(log: list[Any]) -> dict[int, Event]:
    return {event.id: event for event in map(_event, map(json.loads, log))}
