"""The Prefer header of RFC 7240, as far as this service honours it: ``wait``."""

from __future__ import annotations

from collections.abc import Iterable

LONGEST_WAIT_SECONDS = 60  # proxies commonly cut a silent connection soon after
_MAX_DIGITS = 9


def wait_seconds(headers: Iterable[str]) -> int | None:
    """How long the client would rather wait than be answered at once, or None when it did not say.

    Several headers are one list, and of several ``wait`` the first counts (RFC 7240, section 2). A
    bare ``wait`` means as long as we allow; one that is no number of seconds is ignored.

    Args:
        headers: the values of every Prefer header of the request.
    """
    for preference in ",".join(headers).split(","):
        name, _, value = preference.partition(";")[0].partition("=")
        if name.strip().lower() == "wait":
            return _seconds(value.strip().strip('"'))
    return None


def _seconds(value: str) -> int | None:
    if not value:
        return LONGEST_WAIT_SECONDS
    if not (value.isascii() and value.isdigit()):
        return None
    # Python refuses to read numbers of thousands of digits; any of so many is beyond the cap.
    return LONGEST_WAIT_SECONDS if len(value) > _MAX_DIGITS else min(int(value), LONGEST_WAIT_SECONDS)
