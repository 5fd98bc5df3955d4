"""Whether a gateway may start where others can reach it."""

from __future__ import annotations

import logging

from api.access import Anonymous, anonymous_mode
from api.settings import GatewaySettings
from jobs.errors import StoreUnavailableError
from jobs.keys import KeyStore

CREATE_COMMAND = "wanserve keys create NAME"

_log = logging.getLogger(__name__)


class ExposedError(Exception):
    """Nobody could use the service, or everybody. The message says what to do."""


def check_exposure(settings: GatewaySettings, keys: KeyStore) -> str | None:
    """Refuse to listen for others without any key.

    Returns:
        A warning of whom the service will serve without one, if it will serve anybody.

    Raises:
        ExposedError: others can reach it, no key was ever made, and nothing allows that.
    """
    mode, empty = anonymous_mode(settings), _is_empty(keys)
    if mode is Anonymous.NEVER and empty:
        raise ExposedError(
            f"HOST {settings.host} can be reached from other machines, and there are no API keys. "
            f"Make one: {CREATE_COMMAND}. To serve everybody without keys, set ALLOW_ANONYMOUS=true."
        )
    if mode is Anonymous.ALWAYS:
        return f"ALLOW_ANONYMOUS: whoever reaches {settings.host}:{settings.port} may use it."
    if empty:
        return f"No API keys: serving this machine alone. Make one to serve others: {CREATE_COMMAND}"
    return None


def _is_empty(keys: KeyStore) -> bool:
    """Whether it is known that no key was ever made. While the store is away, keys are asked for."""
    try:
        return keys.is_empty()
    except StoreUnavailableError as error:
        _log.warning("%s", error)
        return False
