"""The note that a running service leaves in its data directory."""

import os
import subprocess
import sys

from scripts.running import Running, is_up, noted, running_from
from tests.page_server import answering


def test_a_note_is_there_while_the_service_is(tmp_path):
    note = Running(os.getpid(), "http://127.0.0.1:1")
    assert running_from(tmp_path) is None
    with noted(tmp_path, note):
        assert running_from(tmp_path) == note
    assert running_from(tmp_path) is None


def test_a_note_that_is_older_than_a_crash_is_no_running_service():
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    with answering("<html>") as port:
        address = f"http://127.0.0.1:{port}"
        assert is_up(Running(os.getpid(), address))
        assert not is_up(Running(ended.pid, address))
    assert not is_up(Running(os.getpid(), address))
