"""Requests to where strangers say: nothing of our own network is reached, by no trick."""

import socket
from collections.abc import Callable

import pytest

from jobs.outbound import Outbound, UnreachableError, UrlRefusedError
from tests.hostile import hostile_server, trusting

HOST = "files.example"
SECONDS = 20.0


def fetched(outbound: Outbound, url: str, *, seconds: float = SECONDS) -> bytes:
    with outbound.request("GET", url, seconds=seconds) as answer:
        body = b""
        while chunk := answer.read(4096):
            body += chunk
        return body


def resolving(*addresses: str) -> Callable[[str, int], list[str]]:
    return lambda _host, _port: list(addresses)


@pytest.fixture
def no_connections(monkeypatch):
    """Notes where a connection would have been opened; none is."""
    opened = []

    def refuse(address, *_args, **_kwargs):
        opened.append(address)
        raise ConnectionRefusedError

    monkeypatch.setattr(socket, "create_connection", refuse)
    return opened


def test_a_vouched_host_may_be_private_and_plain():
    with hostile_server({"/a.png": b"bytes"}) as server:
        assert fetched(Outbound({"127.0.0.1"}), f"{server.url}/a.png") == b"bytes"


def test_a_request_carries_its_body_and_the_name_that_was_asked_for():
    with hostile_server({"/hook": b"thanks"}) as server:
        outbound = Outbound({HOST}, resolving("127.0.0.1"))
        url = f"http://{HOST}:{server.port}/hook"
        with outbound.request("POST", url, body=b"{}", headers={"x-a": "b"}, seconds=SECONDS) as answer:
            assert (answer.status, answer.read(100)) == (200, b"thanks")
        assert server.requests == [("POST", "/hook", f"{HOST}:{server.port}")]


def test_tls_goes_to_the_checked_address_under_the_name_of_the_url():
    with hostile_server({"/a.png": b"bytes"}, tls=True) as server:
        outbound = Outbound({HOST}, resolving("127.0.0.1"), trusting())
        assert fetched(outbound, f"https://{HOST}:{server.port}/a.png") == b"bytes"


def test_a_certificate_that_is_not_trusted_is_refused():
    with hostile_server({"/a.png": b"bytes"}, tls=True) as server:
        outbound = Outbound({HOST}, resolving("127.0.0.1"))
        with pytest.raises(UnreachableError, match="certificate"):
            fetched(outbound, f"https://{HOST}:{server.port}/a.png")


@pytest.mark.parametrize(
    "url",
    [
        "https://127.0.0.1/a.png",
        "https://localhost/a.png",
        "https://2130706433/a.png",
        "https://0x7f.1/a.png",
        "https://127.1/a.png",
        "https://0/a.png",
        "https://[::1]/a.png",
        "https://[::ffff:127.0.0.1]/a.png",
        "https://[::ffff:7f00:1]/a.png",
        "https://169.254.169.254/latest/meta-data/",
        "https://10.1.2.3/a.png",
        "https://１２７.０.０.１/a.png",  # noqa: RUF001 - full-width digits, which IDNA folds
    ],
)
def test_an_address_of_our_own_is_refused_however_it_is_written(url, no_connections):
    with pytest.raises(UrlRefusedError, match="public"):
        fetched(Outbound(), url)
    assert no_connections == []


def test_a_name_with_one_bad_address_among_good_ones_is_refused(no_connections):
    outbound = Outbound(resolve=resolving("93.184.216.34", "10.0.0.1"))
    with pytest.raises(UrlRefusedError, match="public"):
        fetched(outbound, f"https://{HOST}/a.png")
    assert no_connections == []


def test_a_name_that_changes_its_mind_after_the_check_gains_nothing(no_connections):
    answers = iter([["93.184.216.34"], ["127.0.0.1"], ["127.0.0.1"]])
    outbound = Outbound(resolve=lambda _host, _port: next(answers))
    with pytest.raises(UnreachableError):
        fetched(outbound, f"https://{HOST}/a.png")
    assert no_connections == [("93.184.216.34", 443)]


@pytest.mark.parametrize(
    "url",
    [
        "http://files.example/a.png",
        "ftp://files.example/a.png",
        "file:///etc/passwd",
        "gopher://files.example:443/",
        "https://files.example:22/a.png",
        "https://files.example:99999/",
        "https://user:secret@files.example/a.png",
        "https://user@files.example/a.png",
        "https:///a.png",
        "https://",
        "https://a b/",
        "https://a\\@files.example/",
        "https://[::1/",
        "https://files..example/",
    ],
)
def test_a_url_that_is_not_plain_https_is_refused(url, no_connections):
    with pytest.raises(UrlRefusedError):
        fetched(Outbound(resolve=resolving("93.184.216.34")), url)
    assert no_connections == []


def test_a_host_that_is_not_known_is_not_reached():
    def unknown(host, port):
        raise socket.gaierror

    with pytest.raises(UnreachableError, match="not known"):
        fetched(Outbound(resolve=unknown), f"https://{HOST}/")


def test_line_breaks_cannot_add_headers():
    with hostile_server({"/a": b"", "/aX-Evil:1": b""}) as server:
        fetched(Outbound({"127.0.0.1"}), f"{server.url}/a\r\nX-Evil:1")
        assert server.requests == [("GET", "/aX-Evil:1", f"127.0.0.1:{server.port}")]


def test_a_redirect_is_given_back_and_not_followed():
    with hostile_server({"/there": b"secret"}) as server:
        url = f"{server.url}/redirect?{server.url}/there"
        with Outbound({"127.0.0.1"}).request("GET", url, seconds=SECONDS) as answer:
            assert (answer.status, answer.headers["location"]) == (302, f"{server.url}/there")
        assert len(server.requests) == 1


@pytest.mark.parametrize("path", ["/drip", "/silent"])
def test_a_host_that_plays_for_time_is_cut_off(path):
    with hostile_server() as server, pytest.raises(UnreachableError, match="too long"):
        fetched(Outbound({"127.0.0.1"}), server.url + path, seconds=0.3)


def test_a_host_that_plays_for_time_within_tls_is_cut_off():
    with hostile_server(tls=True) as server:
        outbound = Outbound({HOST}, resolving("127.0.0.1"), trusting())
        with pytest.raises(UnreachableError, match="too long"):
            fetched(outbound, f"https://{HOST}:{server.port}/drip", seconds=0.3)


def test_a_host_that_never_shakes_hands_is_cut_off():
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        outbound = Outbound({HOST}, resolving("127.0.0.1"), trusting())
        with pytest.raises(UnreachableError, match="too long"):
            fetched(outbound, f"https://{HOST}:{deaf.getsockname()[1]}/", seconds=0.3)


def test_an_answer_that_is_cut_short_is_no_answer():
    with hostile_server() as server, pytest.raises(UnreachableError, match="broke off"):
        fetched(Outbound({"127.0.0.1"}), f"{server.url}/short")


def test_what_the_caller_raises_while_reading_passes_through():
    with (
        hostile_server({"/a": b"bytes"}) as server,
        pytest.raises(OSError, match="disk full"),
        Outbound({"127.0.0.1"}).request("GET", f"{server.url}/a", seconds=SECONDS),
    ):
        raise OSError("disk full")
