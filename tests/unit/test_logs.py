"""Log lines say what they are about."""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from io import StringIO

from jobs.logs import configure_logging, note, noted


@contextmanager
def logged(monkeypatch) -> Iterator[list[str]]:
    """What is logged meanwhile, without the time, once it is over."""
    root, stream, lines = logging.getLogger(), StringIO(), list[str]()
    with monkeypatch.context() as patch:
        patch.setattr("sys.stderr", stream)
        patch.setattr(root, "handlers", [])
        patch.setattr(root, "level", root.level)
        configure_logging("INFO")
        yield lines
    lines.extend(line.split(" ", 2)[2] for line in stream.getvalue().splitlines())


def test_a_line_ends_with_the_facts_noted_around_it(monkeypatch):
    log = logging.getLogger("some.module")
    with logged(monkeypatch) as lines:
        with noted(job="j1", attempt="1"):
            with noted(request="r1", trace=""):
                log.info("begins")
            log.info("ends")
        log.info("is over")
    assert lines == [
        "INFO    some.module: begins [job=j1 attempt=1 request=r1]",
        "INFO    some.module: ends [job=j1 attempt=1]",
        "INFO    some.module: is over",
    ]


def test_what_one_thread_notes_is_not_said_by_another(monkeypatch):
    def other() -> None:
        note(job="j2")
        logging.getLogger("other").info("told")

    with logged(monkeypatch) as lines:
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
        logging.getLogger("main").info("told")
    assert lines == ["INFO    other: told [job=j2]", "INFO    main: told"]
