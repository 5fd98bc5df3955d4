"""Log lines say what they are about, in a form for people or for programs, and tell no secrets."""

import json
import logging
import subprocess
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from structlog.contextvars import bind_contextvars, bound_contextvars, clear_contextvars

from telemetry.logs import QUIET, ROOMS, configure_logging
from telemetry.settings import LogSettings


class Terminal(StringIO):
    def isatty(self) -> bool:
        return True


@contextmanager
def logging_to(stream: StringIO, monkeypatch, **settings: Any) -> Iterator[None]:
    """Configure logging as a process does, and undo it afterwards."""
    root = logging.getLogger()
    with monkeypatch.context() as patch:
        patch.setattr("sys.stderr", stream)
        patch.setattr(sys, "excepthook", sys.excepthook)
        patch.setattr(threading, "excepthook", threading.excepthook)
        for logger in (root, *map(logging.getLogger, (*ROOMS, *QUIET, "py.warnings"))):
            patch.setattr(logger, "level", logger.level)
            patch.setattr(logger, "handlers", [])
        for server in map(logging.getLogger, ("uvicorn", "uvicorn.access", "uvicorn.error")):
            patch.setattr(server, "propagate", True)  # a server that another test ran leaves its own behind
            patch.setattr(server, "handlers", [])
            server.setLevel(logging.NOTSET)
        try:
            configure_logging(LogSettings(**settings), "gateway", worker="gpu0@a")
            yield
        finally:
            clear_contextvars()
            logging.captureWarnings(capture=False)
            for handler in root.handlers:
                handler.close()


@pytest.fixture
def logged(monkeypatch):
    """What is logged by a function, as the objects that the lines of JSON are; without the times."""

    def run(write, **settings: Any) -> list[dict[str, Any]]:
        stream = StringIO()
        with logging_to(stream, monkeypatch, **settings):
            write()
        lines = [json.loads(line) for line in stream.getvalue().splitlines()]
        for line in lines:
            assert line.pop("timestamp").endswith("Z")
            assert (line.pop("process"), line.pop("worker")) == ("gateway", "gpu0@a")
        return lines

    return run


def test_a_line_tells_the_facts_bound_around_it(logged):
    log = logging.getLogger("api.module")

    def write() -> None:
        with bound_contextvars(job="j1", attempt="1"):
            with bound_contextvars(request_id="r1", trace_id=""):
                log.info("begins with %d", 1)
            log.warning("ends")
        log.info("is over")

    assert logged(write) == [
        {
            "level": "info",
            "logger": "api.module",
            "message": "begins with 1",
            "job": "j1",
            "attempt": "1",
            "request_id": "r1",
        },
        {"level": "warning", "logger": "api.module", "message": "ends", "job": "j1", "attempt": "1"},
        {"level": "info", "logger": "api.module", "message": "is over"},
    ]


def test_what_one_thread_binds_is_not_said_by_another(logged):
    def other() -> None:
        bind_contextvars(job="j2")
        logging.getLogger("other").info("told")

    def write() -> None:
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
        logging.getLogger("main").info("told")

    assert [line.get("job") for line in logged(write)] == ["j2", None]


def test_prompts_are_told_only_where_they_may_be(logged):
    def write() -> None:
        logging.getLogger("api").info("queued", extra={"prompt": "a cat"})

    assert "prompt" not in logged(write)[0]
    assert logged(write, log_prompts=True)[0]["prompt"] == "a cat"


def test_libraries_are_not_heard_below_info_for_they_would_tell_secrets(logged):
    def write() -> None:
        logging.getLogger("uvicorn.error").debug("< authorization: Bearer wk_1")
        logging.getLogger("httpx").info("GET https://bucket/?X-Amz-Signature=1")
        logging.getLogger("uvicorn.error").info("started")
        logging.getLogger("workers.runner").debug("ours")

    assert [line["message"] for line in logged(write, log_level="DEBUG")] == ["started", "ours"]


@pytest.mark.parametrize(("level", "heard"), [("INFO", "iwe"), ("WARNING", "we"), ("ERROR", "e")])
def test_what_is_below_the_level_is_not_heard(logged, level, heard):
    def write() -> None:
        for name in ("jobs", "uvicorn"):
            log = logging.getLogger(name)
            log.info("i")
            log.warning("w")
            log.error("e")

    assert "".join(line["message"] for line in logged(write, log_level=level)) == heard * 2


def test_a_traceback_is_one_line_of_json(logged):
    def write() -> None:
        try:
            int("no number")
        except ValueError:
            logging.getLogger("jobs").exception("It broke")

    (line,) = logged(write)
    assert line["message"] == "It broke"
    assert line["exception"].endswith("literal for int() with base 10: 'no number'")
    assert "Traceback" in line["exception"]


def test_what_ends_a_thread_and_what_python_warns_of_are_lines_as_well(logged):
    def end() -> None:
        raise RuntimeError("gone")

    def write() -> None:
        thread = threading.Thread(target=end, name="feeder")
        thread.start()
        thread.join()
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.warn("old", stacklevel=1)

    ended, warned = logged(write)
    assert (ended["level"], ended["message"]) == ("critical", "The thread feeder broke")
    assert ended["exception"].endswith("RuntimeError: gone")
    assert (warned["logger"], warned["level"]) == ("py.warnings", "warning")


def test_on_a_terminal_the_lines_are_for_people(monkeypatch):
    terminal = Terminal()
    secret = "wk_secret"  # noqa: F841 - a traceback must not show the values of variables
    with logging_to(terminal, monkeypatch):
        with bound_contextvars(job="j1", request_id="r1", trace_id="r1"):
            logging.getLogger("api").info("queued")
        try:
            int("no number")
        except ValueError:
            logging.getLogger("jobs").exception("It broke")
    text = terminal.getvalue()
    assert "{" not in text
    first = text.splitlines()[0]
    assert "queued" in first
    assert "j1" in first
    assert first.count("r1") == 1
    assert "ValueError: invalid literal" in text
    assert "wk_secret" not in text


def test_the_form_may_be_chosen(monkeypatch):
    plain, terminal = StringIO(), Terminal()
    with logging_to(plain, monkeypatch, log_format="console"):
        logging.getLogger("api").info("queued")
    with logging_to(terminal, monkeypatch, log_format="json"):
        logging.getLogger("api").info("queued")
    assert "queued" in plain.getvalue()
    assert "\x1b" not in plain.getvalue()
    assert json.loads(terminal.getvalue())["message"] == "queued"


def test_a_folder_keeps_the_lines_in_files_that_rotate(monkeypatch, tmp_path):
    folder = tmp_path / "logs"
    monkeypatch.setattr("telemetry.logs.FILE_BYTES", 2000)
    with logging_to(StringIO(), monkeypatch, log_dir=folder):
        for number in range(100):
            logging.getLogger("api").info("line %d", number)
    files = sorted(folder.glob("gateway.log*"))
    assert [file.name for file in files] == ["gateway.log", *(f"gateway.log.{n}" for n in range(1, 6))]
    newest = json.loads(files[0].read_text().splitlines()[-1])
    assert newest["message"] == "line 99"
    assert max(file.stat().st_size for file in files) < 2200


def test_processes_of_a_kind_share_a_file_and_lose_no_line_when_it_rotates(tmp_path):
    program = (
        "import logging, sys; import telemetry.logs as logs; from telemetry.settings import LogSettings\n"
        "logs.FILE_BYTES, logs.OLDER_FILES = 20_000, 1000\n"
        "logs.configure_logging(LogSettings(log_level='INFO'), 'worker', worker=sys.argv[1])\n"
        "for number in range(300): logging.getLogger('workers').info(str(number))\n"
    )
    environment = {"LOG_DIR": str(tmp_path), "PATH": ""}
    writers = [
        subprocess.Popen([sys.executable, "-c", program, name], env=environment, stderr=subprocess.DEVNULL)
        for name in ("a", "b")
    ]
    assert [writer.wait() for writer in writers] == [0, 0]
    files = list(tmp_path.glob("worker.log*"))
    assert len(files) > 2
    lines = [json.loads(line) for file in files for line in file.read_text().splitlines()]
    told = {(line["worker"], line["message"]) for line in lines}
    assert told == {(name, str(number)) for name in ("a", "b") for number in range(300)}


def test_a_folder_that_cannot_be_written_to_ends_the_process_with_the_name_of_the_setting(
    monkeypatch, tmp_path: Path
):
    (tmp_path / "file").touch()
    with (
        pytest.raises(SystemExit, match=r"^LOG_DIR .*/file/logs cannot be written to: Not a directory"),
        logging_to(StringIO(), monkeypatch, log_dir=tmp_path / "file" / "logs"),
    ):
        pass
