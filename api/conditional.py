"""Conditional requests of RFC 9110, section 13, for a file that never changes under its name."""

from __future__ import annotations

from dataclasses import dataclass
from email.utils import formatdate, parsedate_to_datetime

from starlette.datastructures import Headers

from api.refusals import PreconditionFailedError


@dataclass(frozen=True, slots=True)
class Version:
    """What tells one version of a file from another: a digest, and Unix seconds of its making."""

    digest: str
    made_at: int

    @property
    def etag(self) -> str:
        """A strong entity tag."""
        return f'"{self.digest}"'

    @property
    def last_modified(self) -> str:
        """The value of the Last-Modified header."""
        return formatdate(self.made_at, usegmt=True)


def is_known(headers: Headers, version: Version) -> bool:
    """Whether the client has this version already, so that 304 is the answer.

    The order of precedence is that of section 13.2.2.

    Raises:
        PreconditionFailedError: the request was made for another version.
    """
    _check_preconditions(headers, version)
    if (tags := _listed(headers, "if-none-match")) is not None:
        return "*" in tags or version.etag in (tag.removeprefix("W/") for tag in tags)
    since = _date(headers.get("if-modified-since"))
    return since is not None and version.made_at <= since


def may_send_range(headers: Headers, version: Version) -> bool:
    """Whether a Range header counts: there is no If-Range, or it names this very version (section 13.1.5)."""
    wanted = headers.get("if-range")
    return wanted is None or wanted == version.etag or _date(wanted) == version.made_at


def _check_preconditions(headers: Headers, version: Version) -> None:
    if (tags := _listed(headers, "if-match")) is not None:
        if "*" not in tags and version.etag not in tags:
            raise PreconditionFailedError
        return
    since = _date(headers.get("if-unmodified-since"))
    if since is not None and version.made_at > since:
        raise PreconditionFailedError


def _listed(headers: Headers, name: str) -> list[str] | None:
    """The entity tags of a header; ours have no commas, so that one with a comma matches nothing."""
    values = headers.getlist(name)
    return [tag.strip() for tag in ",".join(values).split(",")] if values else None


def _date(text: str | None) -> int | None:
    """Unix seconds of an HTTP date. Anything else is to be ignored (section 13.1.3)."""
    try:
        return int(parsedate_to_datetime(text).timestamp()) if text else None
    except (ValueError, OverflowError):
        return None
