"""An S3 server that is away part of the time: rclone behind a door that opens and shuts."""

from __future__ import annotations

import random
import selectors
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event, Thread

from scripts.bench.workspace import free_port

BUCKET = "videos"
ACCESS_KEY, SECRET_KEY = "chaos-access-key", "chaos-secret-key"

_SLICE_SECONDS = 0.5
_CHUNK = 65536


class Door:
    """Passes connections on to a server, but refuses new ones in a share of all slices of time."""

    def __init__(self, target_port: int, failing: float, chance: random.Random) -> None:
        self._target_port = target_port
        self._failing = failing
        self._chance = chance
        self._shut = Event()
        self._stopped = Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.refused = 0
        self._threads = [
            Thread(target=self._swing, name="door", daemon=True),
            Thread(target=self._accept, name="doorman", daemon=True),
        ]

    @property
    def url(self) -> str:
        """The address to give to whoever wants the server."""
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Serve for as long as the context lasts."""
        for thread in self._threads:
            thread.start()
        try:
            yield
        finally:
            self._stopped.set()
            self._listener.close()

    def open_for_good(self) -> None:
        """End the failures."""
        self._failing = 0.0

    def _swing(self) -> None:
        while not self._stopped.wait(_SLICE_SECONDS):
            (self._shut.set if self._chance.random() < self._failing else self._shut.clear)()

    def _accept(self) -> None:
        while not self._stopped.is_set():
            try:
                client, _ = self._listener.accept()
            except OSError:  # closed, or a client that was killed while it waited
                continue
            if self._shut.is_set():
                self.refused += 1
                client.close()
            else:
                Thread(target=self._pass_on, args=(client,), daemon=True).start()

    def _pass_on(self, client: socket.socket) -> None:
        with (
            suppress(OSError),
            client,
            socket.create_connection(("127.0.0.1", self._target_port)) as server,
            selectors.DefaultSelector() as ready,
        ):
            ready.register(client, selectors.EVENT_READ, (client, server))
            ready.register(server, selectors.EVENT_READ, (server, client))
            while not self._shut.is_set():  # a door that shuts cuts what is on its way, too
                for key, _ in ready.select(_SLICE_SECONDS):
                    source, other = key.data
                    data = source.recv(_CHUNK)
                    if not data:
                        return
                    other.sendall(data)


@contextmanager
def serving_s3(directory: Path) -> Iterator[int]:
    """Rclone's S3 server over a directory; yields its port."""
    (directory / BUCKET).mkdir(parents=True, exist_ok=True)
    port = free_port()
    program = Path(sys.executable).parent / "rclone"
    command = [str(program), "serve", "s3", "--addr", f"127.0.0.1:{port}"]
    keys = ["--auth-key", f"{ACCESS_KEY},{SECRET_KEY}"]
    process = subprocess.Popen(
        [*command, *keys, str(directory)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield port
    finally:
        process.terminate()
        process.wait()
