"""The service under test: a Redis, gateways, and machines with a worker each; what dies is run again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from threading import Event, Lock, Thread

import psutil

from jobs.embedded import EmbeddedRedis, EmbeddedRedisError
from scripts.bench.workspace import free_port, wait_until_ready

_WATCH_SECONDS = 0.1


class Member:
    """One process of the fleet with all that it starts, run again at once when it dies."""

    def __init__(self, name: str, module: list[str], environment: Mapping[str, str], log: Path) -> None:
        self.name = name
        self.log = log
        self._module = module
        self._environment = environment
        self._process: subprocess.Popen[bytes] | None = None

    def keep(self) -> None:
        """Start it, unless it runs."""
        if self._process and self._process.poll() is None:
            return
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", *self._module],
                env=os.environ | self._environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """Its process.

        Raises:
            RuntimeError: it was never started.
        """
        if self._process is None:
            raise RuntimeError(f"{self.name} was not started.")
        return self._process

    def tree(self) -> list[psutil.Process]:
        """Its process and every process below it, children behind their parents."""
        with suppress(psutil.NoSuchProcess):
            top = psutil.Process(self.process.pid)
            return [top, *top.children(recursive=True)]
        return []

    def stop(self) -> None:
        """End it in order, or else by force."""
        self.process.terminate()
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            for process in self.tree():
                with suppress(psutil.NoSuchProcess):
                    process.kill()
            self.process.wait()


class Fleet:
    """Everything that runs, and a thread that runs it again."""

    def __init__(self, directory: Path, environment: Mapping[str, str], gateways: int, machines: int) -> None:
        self._redis = EmbeddedRedis(directory / "redis")
        shared = {**environment, "REDIS_URL": self._redis.url, "DATA_DIR": str(directory / "data")}
        self._redis_pid = directory / "redis" / "server.pid"
        self.redis_url = self._redis.url
        ports = [free_port() for _ in range(gateways)]
        self.gateway_urls = [f"http://127.0.0.1:{port}" for port in ports]
        self.gateways = [
            Member(
                f"gateway {port}", ["api"], {**shared, "PORT": str(port)}, directory / f"gateway-{port}.log"
            )
            for port in ports
        ]
        self.machines = [
            Member(
                f"machine {number}",
                ["workers", "--gpus", "none", "--host", f"box{number}"],
                shared,
                directory / f"machine-{number}.log",
            )
            for number in range(1, machines + 1)
        ]
        self._stopped = Event()
        self._lock = Lock()
        self._keeper = Thread(target=self._keep, name="fleet")

    @contextmanager
    def running(self) -> Iterator[None]:
        """Run everything for as long as the context lasts."""
        with ExitStack() as stack:
            stack.enter_context(self._redis)
            for member in [*self.gateways, *self.machines]:
                member.keep()
                stack.callback(member.stop)
            for url, gateway in zip(self.gateway_urls, self.gateways, strict=True):
                wait_until_ready(f"{url}/health", gateway.process, gateway.log, workers=True)
            self._keeper.start()
            stack.callback(self._end_keeper)
            yield

    def kill_redis(self) -> None:
        """SIGKILL the server; it is started again on its data."""
        with suppress(OSError, ValueError):  # it may be down already
            os.kill(int(self._redis_pid.read_text()), signal.SIGKILL)

    def _keep(self) -> None:
        while not self._stopped.wait(_WATCH_SECONDS):
            with suppress(EmbeddedRedisError):  # the next round tries again
                self._redis.keep()
            for member in [*self.gateways, *self.machines]:
                member.keep()

    def _end_keeper(self) -> None:
        self._stopped.set()
        self._keeper.join()
