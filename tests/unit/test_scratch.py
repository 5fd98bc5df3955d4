"""Folders for temporary files: gone with their context, and with their process however that ends."""

import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from jobs.scratch import scratch, sweep_scratch, temporary_folder

HOLD = """
import sys
from jobs.scratch import scratch
with scratch("video") as folder:
    (folder / "video.mp4").write_bytes(b"half")
    print(folder, flush=True)
    sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def temporary(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


@pytest.fixture
def holder():
    """A process that holds a folder with a file in it."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout
    process.stdout.readline()
    with process:
        yield process
        process.kill()


def later() -> float:
    return time.time() + 3600


def test_a_folder_goes_with_its_context(temporary):
    with scratch("video") as folder:
        (folder / "video.mp4").touch()
        assert folder.is_relative_to(temporary)
    assert list(temporary.iterdir()) == []


def test_a_folder_of_a_process_that_was_killed_is_swept(temporary, holder):
    holder.kill()
    holder.wait()
    (left,) = temporary.iterdir()
    assert [file.name for file in left.iterdir()] == ["video.mp4"]
    sweep_scratch(later)
    assert list(temporary.iterdir()) == []


@pytest.mark.parametrize("paused", [False, True])
def test_a_folder_of_a_process_that_lives_is_left_alone_however_old_it_is(temporary, holder, paused):
    if paused:
        holder.send_signal(signal.SIGSTOP)
    sweep_scratch(later)
    (kept,) = temporary.iterdir()
    assert (kept / "video.mp4").read_bytes() == b"half"


def test_a_folder_that_is_just_being_made_is_left_alone(temporary):
    (temporary / "wanserve-scratch-new").mkdir()
    sweep_scratch()
    assert [folder.name for folder in temporary.iterdir()] == ["wanserve-scratch-new"]


def test_a_process_starts_where_no_temporary_file_can_be_written(monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(tempfile, "_candidate_tempdir_list", lambda: ["/nowhere"])
    monkeypatch.setenv("TMPDIR", "/nowhere")
    sweep_scratch()
    assert temporary_folder() == Path("/nowhere")


def test_what_only_looks_like_one_is_left_alone(temporary):
    target = temporary / "target"
    target.mkdir()
    (temporary / "wanserve-scratch-link").symlink_to(target)
    (temporary / "wanserve-scratch-file").touch()
    (temporary / "wanserve-0123456789abcdef").mkdir()  # the embedded Redis's socket lies in such a one
    sweep_scratch(later)
    assert len(list(temporary.iterdir())) == 4
