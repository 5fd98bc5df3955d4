"""Messages between two processes: JSON objects, one a line, over a pair of sockets."""

from __future__ import annotations

import json
from collections.abc import Mapping
from select import select
from socket import socket
from typing import Any

Message = Mapping[str, Any]

_READ_BYTES = 64 * 1024


class Channel:
    """One end of the pair. Not safe to share between threads without a lock.

    Args:
        end: the connected socket; ``close`` closes it.
        send_seconds: how long to wait for a peer that does not read.
    """

    def __init__(self, end: socket, *, send_seconds: float) -> None:
        self._socket = end
        self._socket.settimeout(send_seconds)
        self._unread = b""

    def send(self, message: Message) -> None:
        """Send a message.

        Raises:
            OSError: the peer has ended (BrokenPipeError), or does not read (TimeoutError).
        """
        self._socket.sendall(json.dumps(message).encode() + b"\n")

    def receive(self, seconds: float) -> list[Message]:
        """The messages that are there, or that come first within so many seconds; none when none comes.

        Raises:
            EOFError: the peer has ended, and everything that it sent was received.
        """
        if not select([self._socket], [], [], max(0.0, seconds))[0]:
            return []
        try:
            read = self._socket.recv(_READ_BYTES)
        except ConnectionError:  # it ended with something of ours unread
            read = b""
        if not read:
            raise EOFError
        *lines, self._unread = (self._unread + read).split(b"\n")
        return [json.loads(line) for line in lines]

    def close(self) -> None:
        """Tell the peer that this end is gone."""
        self._socket.close()
