"""``python -m scripts.keys`` as an operator runs it."""

import os
import re
import signal

import pytest
from redis import Redis

from jobs.connect import open_keys
from jobs.embedded import EmbeddedRedis
from jobs.keys import parse_token
from jobs.settings import JobsSettings
from scripts.keys import main


@pytest.fixture(autouse=True)
def data_dir(tmp_path, monkeypatch):
    """A data directory of its own; nothing runs."""
    for name in JobsSettings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("DATA_DIR", str(tmp_path))
    return tmp_path


def test_a_key_is_made_listed_and_revoked_while_nothing_runs(capsys, data_dir):
    main(["create", "my app", "--tenant", "acme", "--scopes", "read,admin"])
    printed = capsys.readouterr()
    parsed = parse_token(printed.out.strip())
    assert parsed is not None
    assert "shown this once" in printed.err
    main(["list"])
    header, row = capsys.readouterr().out.splitlines()
    assert header.split()[:4] == ["id", "name", "tenant", "scopes"]
    assert re.fullmatch(rf"{parsed[0]}  my app  acme    admin,read  \S+ \S+  -          -", row)
    main(["revoke", parsed[0]])
    assert "is revoked" in capsys.readouterr().out
    with EmbeddedRedis(data_dir / "redis"):
        key = open_keys(JobsSettings()).get(parsed[0])
    assert key is not None
    assert key.revoked_at is not None
    assert not key.admits(parsed[1])


def test_a_running_embedded_redis_is_used(capsys, data_dir):
    with EmbeddedRedis(data_dir / "redis"):
        main(["create", "app"])
        assert len(open_keys(JobsSettings()).all()) == 1


def test_an_embedded_redis_that_hangs_is_told_of_with_what_to_do(data_dir):
    with EmbeddedRedis(data_dir / "redis") as server:
        with Redis.from_url(server.url) as client:
            pid = client.info("server")["process_id"]
        os.kill(pid, signal.SIGSTOP)
        try:
            with pytest.raises(
                SystemExit, match=rf"runs \(process {pid}\) but does not answer.*kill -CONT {pid}"
            ):
                main(["list"])
        finally:
            os.kill(pid, signal.SIGCONT)


def test_what_cannot_be_done_is_said_in_a_sentence(capsys, monkeypatch):
    with pytest.raises(SystemExit, match="There is no key 123"):
        main(["revoke", "123"])
    with pytest.raises(SystemExit):
        main(["create", " "])
    assert "says what it is for" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="names no tenant"):
        main(["create", "app", "--tenant", "a/b"])
    with pytest.raises(SystemExit):
        main(["create", "app", "--scopes", "everything"])
    assert "scopes are read, submit, admin" in capsys.readouterr().err
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1")
    with pytest.raises(SystemExit, match="does not answer"):
        main(["list"])
