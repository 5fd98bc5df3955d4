"""HTTP requests to where a stranger says, kept from reaching our own network (SSRF).

The one way to send them, for the gateway (inputs by URL) and for workers (webhooks). A host name is
resolved once; if any of its addresses is not public the request is refused; and the connection goes to one
of the addresses that were checked, so that a name that changes its mind in between (DNS rebinding) gains
nothing. Redirects are never followed: the caller may send a new request, which is checked like any other.
"""

from __future__ import annotations

import re
import socket
import ssl
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, replace
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from threading import Event, Timer
from urllib.parse import SplitResult, quote, urlsplit

from jobs.addresses import is_public, parse_address
from jobs.errors import JobsError

HTTPS_PORTS = frozenset({443, 8443})
CONNECT_SECONDS = 5.0

Resolver = Callable[[str, int], Sequence[str]]
"""The addresses of a host and port, as text. Raises OSError where there are none."""


class OutboundError(JobsError):
    """A request to a stranger's URL came to nothing."""


class UrlRefusedError(OutboundError):
    """The URL is not one that this service sends requests to. It will not pass by itself."""


class UnreachableError(OutboundError):
    """The host did not answer, broke off, or took too long."""


def system_resolver(host: str, port: int) -> list[str]:
    """What the operating system knows of a host, in its order of preference."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


@dataclass(frozen=True, slots=True)
class Target:
    """Where a URL leads: its parts, and the addresses that were found good."""

    tls: bool
    host: str
    port: int
    path: str
    addresses: Sequence[str] = ()


class Outbound:
    """Sends guarded requests; safe to share between threads.

    Args:
        private_hosts: host names or addresses, in lower case, that the operator vouches for: they may be
            private, on any port, and need no TLS.
        resolve: how names become addresses.
        tls: what certificates are checked against; None for those that the system trusts.
    """

    def __init__(
        self,
        private_hosts: Collection[str] = (),
        resolve: Resolver = system_resolver,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._private_hosts = frozenset(private_hosts)
        self._resolve = resolve
        self._tls = tls or ssl.create_default_context()

    def check(self, url: str) -> Target:
        """Resolve a URL's host and see whether a request may go there.

        Raises:
            UrlRefusedError: it may not; the message says why.
            UnreachableError: the host has no address.
        """
        target = self._aim(url)
        addresses = self._addresses(target.host, target.port)
        self._refuse_private(target.host, addresses)
        return replace(target, addresses=addresses)

    def vet(self, url: str) -> None:
        """Refuse a URL that is kept for later, as far as can be told without resolving its host.

        Raises:
            UrlRefusedError: no request will ever go there; the message says why.
        """
        host = self._aim(url).host
        with suppress(ValueError):  # a name
            self._refuse_private(host, [str(parse_address(host))])

    @contextmanager
    def request(
        self,
        method: str,
        url: str,
        *,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        seconds: float,
    ) -> Iterator[Answer]:
        """Send one request and give its answer, whatever its status, to be read within the context.

        Args:
            method: the HTTP method.
            url: where to; https, unless the operator vouches for the host.
            body: what to send.
            headers: beside Host, Content-Length and Connection, which are set here.
            seconds: how long all of it may take, the reading of the answer included.

        Raises:
            UrlRefusedError: the URL is not allowed.
            UnreachableError: the host cannot be reached, broke off, or took too long.
        """
        give_up_at = time.monotonic() + seconds
        target = self.check(url)
        with closing(_Line(target, give_up_at)) as line, closing(line.open(self._tls)) as connection:
            with line.guarded():
                connection.request(method, target.path, body, {**(headers or {}), "Connection": "close"})
                response = connection.getresponse()
            yield Answer(response, line)

    def _aim(self, url: str) -> Target:
        parts, host = _split(url)
        vouched = host in self._private_hosts
        if parts.scheme != "https" and not (vouched and parts.scheme == "http"):
            raise UrlRefusedError("The URL must begin with https://.")
        tls = parts.scheme == "https"
        port = _port(parts) or (443 if tls else 80)
        if not vouched and port not in HTTPS_PORTS:
            raise UrlRefusedError(f"Port {port} is not allowed; use 443 or 8443.")
        return Target(tls, host, port, _path(parts))

    def _refuse_private(self, host: str, addresses: Sequence[str]) -> None:
        vouched = host in self._private_hosts
        if not vouched and not all(is_public(parse_address(address)) for address in addresses):
            raise UrlRefusedError(f"{host} is not on the public internet.")

    def _addresses(self, host: str, port: int) -> Sequence[str]:
        try:
            addresses = self._resolve(host, port)
        except (OSError, UnicodeError):
            addresses = ()
        if not addresses:
            raise UnreachableError(f"The host {host} is not known.")
        return addresses


class Answer:
    """An answer that is being received."""

    def __init__(self, response: HTTPResponse, line: _Line) -> None:
        self.status = response.status
        self.headers = response.headers
        self._response = response
        self._line = line

    def read(self, size: int) -> bytes:
        """Up to so many bytes of the body; none at its end.

        Raises:
            UnreachableError: the host broke off in the middle, or took too long.
        """
        with self._line.guarded():
            chunk = self._response.read(size)
            if size and not chunk and self._response.length:
                raise ConnectionError("cut short")
        return chunk


class _Line:
    """One connection to a target, cut when its time is up.

    A peer that sends a byte now and then outlives any timeout of a socket, so a timer shuts the socket down.
    """

    def __init__(self, target: Target, give_up_at: float) -> None:
        self._target = target
        self._give_up_at = give_up_at
        self._late = Event()
        self._socket: socket.socket | None = None
        self._timer = Timer(self._left(), self._cut)
        self._timer.daemon = True

    def open(self, tls: ssl.SSLContext) -> HTTPConnection:
        """Connect to one of the checked addresses, and to no other."""
        host = self._target.host
        with self.guarded():
            self._socket = self._connect()
            self._socket.settimeout(None)  # from here on, the timer watches
            self._timer.start()
            kind = HTTPSConnection if self._target.tls else HTTPConnection
            connection = kind(host, self._target.port)  # which finds its socket open
            if self._target.tls:
                secure = tls.wrap_socket(self._socket, server_hostname=host, do_handshake_on_connect=False)
                self._socket = secure
                secure.do_handshake()
            connection.sock = self._socket
        return connection

    @contextmanager
    def guarded(self) -> Iterator[None]:
        """Turn what sockets and HTTP raise into our own words, without what the peer sent."""
        host = self._target.host
        try:
            yield
        except ssl.SSLCertVerificationError:
            raise UnreachableError(f"The certificate of {host} cannot be trusted.") from None
        except (OSError, HTTPException, ValueError) as error:
            if self._late.is_set() or isinstance(error, TimeoutError):
                raise UnreachableError(f"{host} took too long.") from None
            raise UnreachableError(f"{host} cannot be reached or broke off.") from None
        if self._late.is_set():
            raise UnreachableError(f"{host} took too long.")

    def close(self) -> None:
        """Let go of the socket and the timer."""
        self._timer.cancel()
        if self._socket:
            self._socket.close()

    def _connect(self) -> socket.socket:
        """The first of the addresses that answers."""
        fault: OSError = TimeoutError()
        for address in self._target.addresses:
            try:
                where = (address, self._target.port)
                return socket.create_connection(where, min(max(self._left(), 0.001), CONNECT_SECONDS))
            except OSError as error:
                fault = error
        raise fault

    def _left(self) -> float:
        return max(0.0, self._give_up_at - time.monotonic())

    def _cut(self) -> None:
        self._late.set()
        if self._socket:
            with suppress(OSError):  # closed already
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)


def _split(url: str) -> tuple[SplitResult, str]:
    """The URL's parts, and its host in lower case, in the form that DNS and the Host header take."""
    try:
        parts = urlsplit(url)
        host = (parts.hostname or "").encode("idna").decode()
    except (ValueError, UnicodeError):
        raise UrlRefusedError("This is no URL.") from None
    if parts.scheme not in ("http", "https"):
        raise UrlRefusedError("The URL must begin with https://.")
    if not re.fullmatch(r"[a-z0-9._-]+|[0-9a-f:.]+", host):
        raise UrlRefusedError("The URL names no host.")
    if parts.username is not None or parts.password is not None:
        raise UrlRefusedError("The URL must not hold a user name or a password.")
    return parts, host


def _port(parts: SplitResult) -> int | None:
    try:
        return parts.port
    except ValueError:
        raise UrlRefusedError("The URL's port is no number of a port.") from None


def _path(parts: SplitResult) -> str:
    path = f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"
    return quote(path, safe="%/:?#[]@!$&'()*+,;=~")
