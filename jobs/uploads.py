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


def made_at(name: str) -> datetime | None:
    """When the id of an upload or of a job was made, in UTC, to the millisecond; None if it is neither.

    Source: https://github.com/ulid/spec, in lower case.
    """
    match = _ID.fullmatch(name)
    return ULID.from_str(match[1].upper()).datetime.astimezone(UTC) if match else None
