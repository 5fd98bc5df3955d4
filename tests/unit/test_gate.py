"""The gate while the store is away: one request asks again now and then, the others are told at once."""

from types import SimpleNamespace
from typing import Any

import anyio
import pytest
from starlette.responses import PlainTextResponse
from starlette.testclient import TestClient
from starlette.types import ASGIApp, Receive, Scope, Send

from api.access import Access, Anonymous
from api.gate import ASKED_AGAIN_SECONDS, Gate
from api.keyring import Keyring
from api.outages import Outages
from jobs.errors import StoreUnavailableError
from jobs.keys_memory import MemoryKeyStore
from jobs.limits import Limits


class Limiter:
    """Answers, or not; counts how often it was asked. A gate that is held keeps whoever asks waiting."""

    def __init__(self) -> None:
        self.away = True
        self.asked = 0
        self.held: anyio.Event | None = None

    async def of(self, _tenant: str) -> Limits:
        self.asked += 1
        if self.held:
            await self.held.wait()
        if self.away:
            raise StoreUnavailableError("away")
        return Limits()

    async def take(self, _principal: Any) -> None:
        return None


@pytest.fixture
def now() -> list[float]:
    return [100.0]


@pytest.fixture
def limiter() -> Limiter:
    return Limiter()


@pytest.fixture
def gate(limiter, now) -> ASGIApp:
    """The gate of an app, as requests come to it there."""
    access = Access(Keyring(MemoryKeyStore()), Anonymous.ALWAYS, public_url=None, origins=())
    gate = Gate(PlainTextResponse("in"), access, limiter, lambda: now[0])
    app = SimpleNamespace(state=SimpleNamespace(parts=SimpleNamespace(outages=Outages())))

    async def there(scope: Scope, receive: Receive, send: Send) -> None:
        await gate({**scope, "app": app}, receive, send)

    return there


@pytest.fixture
def client(gate) -> TestClient:
    return TestClient(gate)


def test_a_store_that_was_away_a_moment_ago_is_not_asked_again(client, limiter, now):
    assert [client.get("/jobs").status_code for _ in range(3)] == [503, 503, 503]
    assert limiter.asked == 1
    now[0] += ASKED_AGAIN_SECONDS
    assert client.get("/jobs").status_code == 503
    assert limiter.asked == 2


def test_a_store_that_is_back_lets_everybody_in(client, limiter, now):
    assert client.get("/jobs").status_code == 503
    limiter.away = False
    now[0] += ASKED_AGAIN_SECONDS
    assert [client.get("/jobs").status_code for _ in range(2)] == [200, 200]
    assert limiter.asked == 3


def test_while_one_asks_again_the_others_do_not_wait_for_it(gate, limiter, now):
    async def ask(answers: list[int]) -> None:
        async def send(message: Any) -> None:
            if message["type"] == "http.response.start":
                answers.append(message["status"])

        scope = {"type": "http", "method": "GET", "path": "/jobs", "query_string": b""}
        await gate({**scope, "headers": [(b"host", b"testserver")]}, anyio.sleep_forever, send)

    async def play() -> list[int]:
        answers: list[int] = []
        await ask(answers)
        now[0] += ASKED_AGAIN_SECONDS
        limiter.held = anyio.Event()
        async with anyio.create_task_group() as group:
            group.start_soon(ask, answers)
            await anyio.wait_all_tasks_blocked()
            await ask(answers)
            told = list(answers)
            limiter.held.set()
        return told

    assert anyio.run(play) == [503, 503]
    assert limiter.asked == 2
