"""The note that a running service leaves in its data directory."""

import os
import signal
import subprocess
import sys

import pytest

from scripts.running import Running, noted, running_from

NOTE_AND_DIE = """
import os, signal, sys
from pathlib import Path
from scripts.running import Running, noted
with noted(Path(sys.argv[1]), Running(int(sys.argv[2]), "http://127.0.0.1:1")):
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_note_is_there_while_the_service_is(tmp_path):
    note = Running(os.getpid(), "http://127.0.0.1:1")
    assert running_from(tmp_path) is None
    with noted(tmp_path, note):
        assert running_from(tmp_path) == note
    assert running_from(tmp_path) is None
    assert list(tmp_path.iterdir()) == []


def test_a_note_that_is_older_than_a_crash_is_no_running_service_whoever_has_its_process_now(tmp_path):
    crashed = subprocess.run(
        [sys.executable, "-c", NOTE_AND_DIE, str(tmp_path), str(os.getpid())], check=False
    )
    assert crashed.returncode == -signal.SIGKILL
    assert (tmp_path / "serve.json").exists()
    assert running_from(tmp_path) is None


@pytest.mark.parametrize("damaged", [b"", b'{"pid": 1', b"[]", b"\xff", b'{"pid": 0, "url": "http://a"}'])
def test_a_damaged_note_is_none(tmp_path, damaged):
    with noted(tmp_path, Running(os.getpid(), "http://127.0.0.1:1")):
        (tmp_path / "serve.json").write_bytes(damaged)
        assert running_from(tmp_path) is None


@pytest.mark.parametrize(
    ("script", "where", "why"),
    [
        *((script, "a file", "Not a directory") for script in ("serve", "demo", "stop")),
        *((script, "/proc/none", "No such file or directory") for script in ("serve", "demo")),
    ],
)
def test_a_data_directory_that_is_none_is_told_in_one_line(tmp_path, script, where, why):
    (tmp_path / "a file").touch()
    ended = subprocess.run(
        [sys.executable, "-m", f"scripts.{script}"],
        env=os.environ | {"DATA_DIR": str(tmp_path / where)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 1
    assert ended.stderr == f"DATA_DIR {tmp_path / where} cannot be used: {why}.\n"
