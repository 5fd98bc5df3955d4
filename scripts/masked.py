"""The configuration as it may be shown: what is secret is not in it."""

from __future__ import annotations

import re
from typing import Any

from pydantic_settings import BaseSettings


def masked(settings: BaseSettings) -> dict[str, Any]:
    """Settings as JSON by the names of their variables, without any password."""
    told: dict[str, Any] = settings.model_dump(mode="json")  # stars take the place of secrets
    return {name.upper(): _without_password(value) for name, value in told.items()}


def _without_password(value: Any) -> Any:
    """Addresses have a password before the ``@``, or among their options."""
    if not isinstance(value, str):
        return value
    return re.sub(r"([?&]password=)[^&]*", r"\1***", re.sub(r"//[^@/]*@", "//***@", value))
