"""The embedded server as it really runs: restarts, crashes, refusals, and a broker on it."""

import fcntl
import os
import select
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from kombu import Connection
from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from jobs.embedded import EmbeddedRedis, EmbeddedRedisError, broker_url

DEEP = "/".join(["a-long-name-of-a-directory"] * 8)


def client(server: EmbeddedRedis) -> Redis:
    return Redis.from_url(server.url, decode_responses=True)


def process_id(server: EmbeddedRedis) -> int:
    with client(server) as redis:
        return int(redis.info("server")["process_id"])


def wait_for_end_of_server(directory: Path) -> None:
    """The server holds a lock on its log as long as it lives."""
    with (directory / "server.log").open("ab") as log:
        fcntl.flock(log, fcntl.LOCK_EX)


def test_data_survives_a_restart(tmp_path):
    for jobs in range(3):
        with EmbeddedRedis(tmp_path) as server, client(server) as redis:
            assert redis.llen("jobs") == jobs
            redis.rpush("jobs", "job")


def test_synced_data_survives_a_killed_server(tmp_path):
    with EmbeddedRedis(tmp_path) as server, client(server) as redis:
        redis.set("job", "queued")
        assert redis.waitaof(1, 0, 10_000) == [1, 0]
        os.kill(process_id(server), signal.SIGKILL)
        wait_for_end_of_server(tmp_path)
        server.stop()
        server.start()
        assert redis.get("job") == "queued"


def test_it_keeps_everything_and_listens_to_nobody_else(tmp_path):
    with EmbeddedRedis(tmp_path / "data" / "redis") as server, client(server) as redis:
        settings = redis.config_get("*")
        socket = Path(settings["unixsocket"])
        assert stat.S_IMODE(socket.stat().st_mode) == 0o700
        assert stat.S_IMODE(socket.parent.stat().st_mode) == 0o700
    expected = {
        "port": "0",
        "tls-port": "0",
        "appendonly": "yes",
        "appendfsync": "everysec",
        "save": "",
        "maxmemory": "0",
        "maxmemory-policy": "noeviction",
    }
    assert {name: settings[name] for name in expected} == expected


def test_a_second_server_on_a_directory_is_refused_in_a_sentence(tmp_path):
    with EmbeddedRedis(tmp_path) as server, client(server) as redis:
        with pytest.raises(EmbeddedRedisError) as caught:
            EmbeddedRedis(tmp_path / "." / "").start()
        assert str(caught.value) == (
            f"{tmp_path} is in use by a running server (process {process_id(server)}). "
            "Stop that one first, or choose another DATA_DIR."
        )
        with pytest.raises(EmbeddedRedisError, match="in use"):
            server.start()
        assert redis.ping()


def test_of_many_that_start_at_once_one_succeeds(tmp_path):
    servers = [EmbeddedRedis(tmp_path) for _ in range(4)]

    def started(server: EmbeddedRedis) -> bool:
        try:
            server.start()
        except EmbeddedRedisError:
            return False
        return True

    try:
        with ThreadPoolExecutor(4) as threads:
            assert sorted(threads.map(started, servers)) == [False, False, False, True]
    finally:
        for server in servers:
            server.stop()


def test_a_server_outlives_neither_its_parent_nor_loses_its_data(tmp_path):
    program = (
        "import sys, pathlib; from jobs.embedded import EmbeddedRedis; from redis import Redis\n"
        "server = EmbeddedRedis(pathlib.Path(sys.argv[1])); server.start()\n"
        "Redis.from_url(server.url).set('job', 'queued'); print('started', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, tmp_path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    ) as parent:
        assert parent.stdout
        assert parent.stdout.readline() == b"started\n"
        parent.kill()
    wait_for_end_of_server(tmp_path)
    with EmbeddedRedis(tmp_path) as server, client(server) as redis:
        assert redis.get("job") == "queued"


def test_the_end_of_a_terminal_is_left_to_its_parent(tmp_path):
    with EmbeddedRedis(tmp_path) as server:
        assert os.getsid(process_id(server)) != os.getsid(0)


@pytest.mark.parametrize("name", [DEEP, "a 'name' \"with\" c#%?;&=+ü", "x" * 200])
def test_any_directory_will_do(tmp_path, name):
    with EmbeddedRedis(tmp_path / name) as server, client(server) as redis:
        redis.set("job", "queued")
        assert Path(redis.config_get("dir")["dir"]) == tmp_path / name
        assert len(os.fsencode(redis.config_get("unixsocket")["unixsocket"])) < 104
        assert EmbeddedRedis(tmp_path / name).url == server.url
        with pytest.raises(EmbeddedRedisError, match="in use"):
            EmbeddedRedis(tmp_path / name).start()


def test_deep_directories_have_servers_of_their_own(tmp_path):
    with EmbeddedRedis(tmp_path / DEEP / "1") as first, EmbeddedRedis(tmp_path / DEEP / "2") as second:
        assert process_id(first) != process_id(second)


@pytest.fixture
def short_path() -> Iterator[Path]:
    """A directory for temporary files, not as deep as pytest's."""
    with TemporaryDirectory(dir="/tmp") as path:
        yield Path(path)


def test_a_socket_directory_that_others_could_enter_is_refused(short_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(short_path))
    server = EmbeddedRedis(short_path / DEEP)
    with server:
        (private,) = short_path.glob("wanserve-*")
    assert not private.exists()
    private.mkdir()
    private.chmod(0o755)
    with pytest.raises(EmbeddedRedisError, match=f"{private} is not a private directory"):
        server.start()
    private.rmdir()
    (short_path / "elsewhere").mkdir(mode=0o700)
    private.symlink_to(short_path / "elsewhere")
    with pytest.raises(EmbeddedRedisError, match="not a private directory"):
        server.start()


def test_a_server_that_does_not_start_says_why(tmp_path):
    with EmbeddedRedis(tmp_path) as server, client(server) as redis:
        redis.set("job", "queued")
    next(tmp_path.glob("appendonlydir/*.manifest")).write_text("nonsense\n")
    for _ in range(2):
        with pytest.raises(EmbeddedRedisError, match=r"(?s)did not start: it ended.*AOF manifest") as caught:
            server.start()
        assert "Ready to accept connections" not in str(caught.value)  # that was an earlier run


def test_a_platform_without_a_binary_is_told_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setattr("platform.machine", lambda: "riscv64")
    with pytest.raises(EmbeddedRedisError, match=r"set REDIS_URL.*riscv64"):
        EmbeddedRedis(tmp_path).start()


def test_stopping_what_does_not_run_is_no_error(tmp_path):
    server = EmbeddedRedis(tmp_path)
    server.stop()
    server.start()
    assert client(server).ping()
    server.stop()
    server.stop()
    with pytest.raises(RedisConnectionError):
        client(server).ping()


def test_nothing_is_left_running(tmp_path):
    server = EmbeddedRedis(tmp_path)
    server.start()
    assert server._process
    assert server._process.stdin
    pipe = os.dup(server._process.stdin.fileno())  # the shell that watches its parent reads it
    server.stop()
    wait_for_end_of_server(tmp_path)
    readers = select.poll()
    readers.register(pipe, 0)
    assert readers.poll(10_000) == [(pipe, select.POLLERR)]  # there are none left
    os.close(pipe)


@pytest.mark.parametrize("name", ["redis", DEEP, "a c#%?;+ü"])
def test_kombu_publishes_and_gets_at_the_broker_url(tmp_path, name):
    with EmbeddedRedis(tmp_path / name) as server:
        url = broker_url(server.url.replace("db=0", "db=3"))
        with Connection(url) as broker, broker.SimpleQueue("t2v-A14B") as queue:
            queue.put({"id": "job"})
            message = queue.get(timeout=10)
            message.ack()
            assert message.payload == {"id": "job"}
            queue.put({"id": "waiting"})
        with Redis.from_url(server.url.replace("db=0", "db=3")) as redis:
            assert redis.llen("t2v-A14B") == 1
        with client(server) as redis:
            assert redis.dbsize() == 0


@pytest.mark.parametrize(
    ("redis_url", "expected"),
    [
        ("redis://host", "redis://host"),
        ("redis://user:p%40ss@host:6380/2", "redis://user:p%40ss@host:6380/2"),
        ("redis://host?db=3&socket_timeout=5", "redis://host/3"),
        ("rediss://host/1", "rediss://host/1?ssl_cert_reqs=required"),
        ("rediss://host?ssl_cert_reqs=none&db=1", "rediss://host/1?ssl_cert_reqs=none"),
        ("unix:///run/redis.sock", "redis+socket:///run/redis.sock?virtual_host=0"),
        ("unix://:pass@/run/redis.sock?db=4", "redis+socket://:pass@/run/redis.sock?virtual_host=4"),
    ],
)
def test_a_broker_url_names_the_same_server_and_database(redis_url, expected):
    assert broker_url(redis_url) == expected
