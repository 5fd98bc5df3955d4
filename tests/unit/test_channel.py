"""Messages between two processes, over a real pair of sockets."""

import socket
from collections.abc import Iterator

import pytest

from workers.channel import Channel


@pytest.fixture
def pair() -> Iterator[tuple[Channel, Channel]]:
    first, second = (Channel(end, send_seconds=0.05) for end in socket.socketpair())
    yield first, second
    first.close()
    second.close()


def test_messages_come_whole_and_in_order(pair):
    ours, theirs = pair
    ours.send({"do": "hold", "job": "job_1"})
    ours.send({"do": "report", "job": "猫\n"})
    assert theirs.receive(1) == [{"do": "hold", "job": "job_1"}, {"do": "report", "job": "猫\n"}]
    assert theirs.receive(0) == []


def test_a_message_larger_than_one_read_comes_whole():
    near, far = socket.socketpair()
    with near, far:
        channel = Channel(far, send_seconds=1)
        near.sendall(b'{"do": "ho')
        assert channel.receive(1) == []
        near.sendall(b'ld"}\n{"do"')
        assert channel.receive(1) == [{"do": "hold"}]
        near.sendall(b': "drop"}\n')
        assert channel.receive(1) == [{"do": "drop"}]


def test_the_end_of_the_peer_is_told_after_its_last_message(pair):
    ours, theirs = pair
    ours.send({"do": "drop"})
    ours.close()
    assert theirs.receive(1) == [{"do": "drop"}]
    with pytest.raises(EOFError):
        theirs.receive(1)


def test_a_peer_that_ended_without_reading_has_ended(pair):
    ours, theirs = pair
    theirs.send({"stop": "cancel"})
    ours.close()
    with pytest.raises(EOFError):
        theirs.receive(1)
    with pytest.raises(BrokenPipeError):
        theirs.send({"stop": "cancel"})


def test_a_peer_that_does_not_read_is_not_waited_for_for_ever(pair):
    ours, _ = pair

    def fill() -> None:
        while True:
            ours.send({"stage": "x" * 10_000})

    with pytest.raises(TimeoutError):
        fill()
