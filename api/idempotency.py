"""The Idempotency-Key header: a client that repeats a request, unsure whether it arrived, gets the same job.

Source: https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/, with any text as a key.
"""

from __future__ import annotations

import hashlib
import json
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request

from jobs.state import IdempotencyKey
from wan_models.errors import InvalidRequestError

HEADER = "Idempotency-Key"
LONGEST_KEY = 255


@dataclass(frozen=True, slots=True)
class Reservation:
    """A client's key, kept for the try of this token."""

    key: str
    token: str

    def used_for(self, *request: Any) -> IdempotencyKey:
        """The key, with what it stands for: JSON values that tell this request from every other."""
        return IdempotencyKey(self.key, fingerprint(*request), self.token)


def fingerprint(*values: Any) -> str:
    """The same short text for equal JSON values, and another one for all others."""
    told = json.dumps(values, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return urlsafe_b64encode(hashlib.sha256(told.encode()).digest()[:16]).rstrip(b"=").decode()


def key_of(request: Request) -> str | None:
    """The client's own name for the request, or None where it gives none.

    Raises:
        InvalidRequestError: the header is no key.
    """
    keys = request.headers.getlist(HEADER)
    if not keys:
        return None
    if len(keys) > 1 or not 0 < len(keys[0]) <= LONGEST_KEY or not keys[0].isprintable():
        raise InvalidRequestError(HEADER, f"Send it once, with 1 to {LONGEST_KEY} printable characters.")
    return keys[0]


PARAMETER: Mapping[str, Any] = {
    "name": HEADER,
    "in": "header",
    "schema": {"type": "string", "minLength": 1, "maxLength": LONGEST_KEY},
    "description": "Names the request for 24 hours: repeating it under this key answers with the same job.",
}
"""The header as OpenAPI describes it."""
