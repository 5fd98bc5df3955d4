"""Clients that take their time before they say what they want: a connection is theirs for a while only."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import pytest

from tests.integration.api.conftest import Gateway, parts_with
from tests.integration.api.live import listening

REQUEST = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n"


@pytest.fixture
def client(
    gateway: Gateway, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[socket.socket]:
    """A connection to a gateway that waits for a request no longer than a client needs to send it."""
    monkeypatch.setattr("api.protocol.HEAD_SECONDS", 0.6)
    with (
        listening(parts_with(gateway.store, tmp_path, feed=redis_url)) as server,
        socket.create_connection(server.address, timeout=60) as client,
    ):
        yield client


def rest(client: socket.socket) -> bytes:
    return b"".join(iter(lambda: client.recv(4096), b""))


def answer(client: socket.socket, request: bytes) -> bytes:
    client.sendall(request)
    return client.recv(4096)


@pytest.mark.parametrize("begin", [b"G", b"GET / HTTP/1.1\r\n", REQUEST])
def test_a_head_that_does_not_end_is_answered_with_a_problem(client, begin):
    client.sendall(begin)
    told = rest(client)
    assert told.startswith(b"HTTP/1.1 408 Request Timeout\r\n")
    assert b'"error_type": "head_too_slow"' in told


def test_a_head_has_no_more_time_for_coming_byte_by_byte(client):
    told = b""
    client.settimeout(0.02)
    for sent in range(1000):
        try:
            client.sendall(REQUEST[sent : sent + 1] or b"x")
            told = client.recv(4096)
        except TimeoutError:
            continue
        break
    assert told.startswith(b"HTTP/1.1 408 ")


def test_a_connection_that_says_nothing_is_closed_without_a_word(client):
    assert rest(client) == b""


def test_a_head_that_comes_in_pieces_is_taken(client):
    client.sendall(REQUEST[:10])
    assert answer(client, REQUEST[10:] + b"\r\n").startswith(b"HTTP/1.1 200 ")


def test_the_next_request_of_a_connection_has_its_own_time(client):
    assert answer(client, REQUEST + b"\r\n").startswith(b"HTTP/1.1 200 ")
    client.sendall(REQUEST)
    assert b"HTTP/1.1 408 " in rest(client)


def test_an_answer_may_take_as_long_as_it_takes(client, gateway):
    job_id = gateway.submit()["id"]
    client.sendall(f"GET /jobs/{job_id}/events HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    with client.makefile("rb") as stream, ThreadPoolExecutor() as pool:
        assert b"event: queued\n" in stream
        pool.submit(lambda: (Event().wait(1), gateway.store.cancel(job_id)))
        assert b"event: cancelled\n" in stream
