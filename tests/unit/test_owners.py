"""Lines that are marked for owners reach the listener, and no other line does."""

import logging

import pytest
from structlog.contextvars import bound_contextvars

from telemetry.owners import for_owner, telling_owners

log = logging.getLogger("workers.some")


@pytest.fixture
def heard():
    heard: list[tuple[str, str, dict[str, str]]] = []
    with telling_owners(lambda line, text, about: heard.append((line.levelname, text, dict(about)))):
        yield heard


def test_a_marked_line_is_told_with_what_it_is_about_and_an_unmarked_one_is_not(heard):
    with bound_contextvars(job="j1", attempt="2"):
        log.info("loading %d", 1, extra=for_owner())
        log.warning("bucket 10.0.0.1 is away", extra=for_owner("Trying again"))
        log.error("disk of /srv/a is broken")
    about = {"job": "j1", "attempt": "2"}
    assert heard == [("INFO", "loading 1", about), ("WARNING", "Trying again", about)]


def test_it_is_told_whatever_level_operators_chose_and_theirs_is_as_before_afterwards(monkeypatch):
    ours = logging.getLogger("workers")
    monkeypatch.setattr(ours, "level", logging.WARNING)
    heard: list[str] = []
    with telling_owners(lambda _line, text, _about: heard.append(text)):
        log.info("loading", extra=for_owner())
    log.info("not any more", extra=for_owner())
    assert heard == ["loading"]
    assert ours.level == logging.WARNING


def test_details_are_not_told(heard):
    logging.getLogger("workers").setLevel(logging.DEBUG)
    log.debug("step 1", extra=for_owner())
    assert heard == []


def test_a_listener_may_log():
    heard: list[str] = []

    def listen(_line: logging.LogRecord, text: str, _about: object) -> None:
        heard.append(text)
        log.error("the keeper takes no messages")

    with telling_owners(listen):
        log.info("loading", extra=for_owner())
    assert heard == ["loading"]
