"""What a check says."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum

from api.settings import GatewaySettings


class Verdict(Enum):
    """How serious a finding is, as the mark it is shown with."""

    FINE = "[green]ok  [/green]"
    ADVICE = "[yellow]note[/yellow]"
    FAULT = "[red]FAIL[/red]"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at, and what to do about it."""

    verdict: Verdict
    part: str
    message: str


Check = Callable[[GatewaySettings], Iterator[Finding]]
"""Looks at one part of a setup, and yields what it found."""
