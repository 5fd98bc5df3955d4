"""Files that clients send ahead of their jobs: how they are named in the artifact store, and their age."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from ulid import ULID

UPLOADS = "uploads/"
"""What the key of every upload begins with."""

_ID = re.compile("(?:asset|job)_([0-7][0-9a-hjkmnp-tv-z]{25})")


def is_upload_id(text: str) -> bool:
    """Whether this can be the id of an upload."""
    return text.startswith("asset_") and _ID.fullmatch(text) is not None


def upload_key(tenant: str, upload_id: str) -> str:
    """Where a tenant's upload lies."""
    return f"{UPLOADS}{tenant}/{upload_id}"


def uploaded_at(upload_id: str) -> datetime:
    """When an id was made, in UTC, to the millisecond; job ids tell it as well.

    Source: https://github.com/ulid/spec.

    Raises:
        ValueError: it is no such id.
    """
    match = _ID.fullmatch(upload_id)
    if match is None:
        raise ValueError(f"{upload_id!r} does not tell when it was made.")
    return ULID.from_str(match[1].upper()).datetime.astimezone(UTC)
