"""Who may call: the holders of keys, and where none were made, whoever works on this machine."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection
from contextlib import suppress
from enum import Enum, auto
from functools import lru_cache
from urllib.parse import urlsplit

from starlette.requests import HTTPConnection

from api.keyring import Keyring
from api.principal import ANONYMOUS, Principal, holder_of
from api.refusals import ForeignOriginError, InvalidKeyError, KeyRequiredError, UnknownHostError
from api.settings import GatewaySettings
from jobs.keys import parse_token

_HOST = re.compile(r"(\[[0-9a-fA-F:.]+\]|[^:@/?#\[\]\s]+)(?::[0-9]*)?")


class Anonymous(Enum):
    """When requests without a key are served."""

    NEVER = auto()
    UNTIL_KEYS = auto()  # until the first key is made
    ALWAYS = auto()


def anonymous_mode(settings: GatewaySettings) -> Anonymous:
    """What the settings say: by themselves only this machine is trusted."""
    if settings.allow_anonymous:
        return Anonymous.ALWAYS
    return Anonymous.UNTIL_KEYS if is_loopback(settings.host) else Anonymous.NEVER


def is_loopback(host: str) -> bool:
    """Whether an address to listen on can be reached from this machine alone."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class Access:
    """Tells on whose behalf a request is made, or refuses it.

    Args:
        keyring: the keys.
        anonymous: when there need be none.
        public_url: where the service is found beside its own addresses.
        origins: pages of these origins may call from browsers; see ``GatewaySettings.cors_origins``.
    """

    def __init__(
        self,
        keyring: Keyring,
        anonymous: Anonymous,
        *,
        public_url: str | None = None,
        origins: Collection[str] = (),
    ) -> None:
        self._keyring = keyring
        self._anonymous = anonymous
        self._public_host = urlsplit(public_url).hostname if public_url else None
        self._public_netloc = _netloc(public_url or "")
        self._origins = frozenset(origins)

    async def admit(self, connection: HTTPConnection) -> Principal:
        """Whose request it is.

        Raises:
            KeyRequiredError: it needs a key and has none.
            InvalidKeyError: its key is unknown or revoked.
            UnknownHostError: it needs no key, but came by a name that this service does not have.
            ForeignOriginError: it needs no key, but a page of another site made it.
            StoreUnavailableError: the keys cannot be read.
        """
        token = _bearer(connection.headers.get("authorization", ""))
        parsed = parse_token(token)
        if parsed:
            return await self._holder(*parsed)
        # Clients of keyless servers send placeholders, such as the EMPTY of OpenAI's.
        if not await self._serves_anonymous():
            raise InvalidKeyError if token else KeyRequiredError
        self._check_host(connection.headers.get("host", ""))
        self._check_origin(connection)
        return ANONYMOUS

    async def _holder(self, key_id: str, secret: str) -> Principal:
        key = await self._keyring.find(key_id)
        if key is None or not key.admits(secret):
            raise InvalidKeyError
        await self._keyring.note_use(key)
        return holder_of(key)

    async def _serves_anonymous(self) -> bool:
        if self._anonymous is Anonymous.UNTIL_KEYS:
            return await self._keyring.is_empty()
        return self._anonymous is Anonymous.ALWAYS

    def _check_host(self, header: str) -> None:
        """Refuse names that somebody else may have pointed here (DNS rebinding).

        A page of such a name would count as ours to its visitor's browser. Addresses cannot be pointed
        anywhere, and names without a dot cannot be bought.
        """
        found = _HOST.fullmatch(header)
        name = found[1].lower() if found else ""
        known = "." not in name.rstrip(".") or name.endswith(".localhost") or _is_address(name)
        if not name or not (known or name == self._public_host):
            raise UnknownHostError(header[:100])

    def _check_origin(self, connection: HTTPConnection) -> None:
        """Refuse pages of other sites: browsers let them send forms and open WebSockets anywhere."""
        origin = connection.headers.get("origin")
        if origin is None or self._origins & {origin, "*"}:
            return
        ours = {connection.headers.get("host", "").lower(), self._public_netloc} - {""}
        if _netloc(origin) not in ours:
            raise ForeignOriginError(origin[:100])


def _bearer(header: str) -> str:
    kind, _, token = header.partition(" ")
    return token.strip() if kind.lower() == "bearer" else ""


def _netloc(url: str) -> str:
    """Host and port of a URL, in lower case; nothing where it is none."""
    with suppress(ValueError):
        return urlsplit(url).netloc.lower()
    return ""


@lru_cache(maxsize=256)  # a service has few names, and each comes with every request
def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True
