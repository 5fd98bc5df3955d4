"""The ports that a service is about to listen on, tried beforehand."""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterable
from contextlib import ExitStack
from typing import NamedTuple


class Port(NamedTuple):
    """A port, the address that it is listened on at, what for, and the setting that it comes from."""

    setting: str
    host: str
    number: int
    use: str


def faults_of(ports: Iterable[Port]) -> list[tuple[Port, str]]:
    """Those that cannot be listened on, and why. All are held at once, so that none stands twice."""
    with ExitStack() as held:
        return [(port, why) for port in ports if (why := _listen(port, held))]


def require_free(ports: Iterable[Port]) -> None:
    """End the process with a line for each port that cannot be listened on, if there is one."""
    lines = [
        f"Cannot listen on {host}:{number} for {use} ({why}): set another {setting}."
        for (setting, host, number, use), why in faults_of(ports)
    ]
    if lines:
        sys.exit("\n".join(lines))


def _listen(port: Port, held: ExitStack) -> str | None:
    family = socket.AF_INET6 if ":" in port.host else socket.AF_INET
    listener = held.enter_context(socket.socket(family))
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as all of them do
    try:
        listener.bind((port.host, port.number))
        listener.listen()
    except OSError as error:
        return error.strerror
    except OverflowError:
        return "ports end at 65535"
    return None
