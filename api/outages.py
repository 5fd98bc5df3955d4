"""What the log of a gateway tells of stores that are away."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from functools import partial

from telemetry.outage import Outage

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Outages:
    """One for all parts of a gateway: many meet an outage, and one tells of it."""

    job_store: Outage = field(default_factory=partial(Outage, _log, "The job store"))
    artifact_store: Outage = field(default_factory=partial(Outage, _log, "The artifact store"))
