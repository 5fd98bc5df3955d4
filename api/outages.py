"""What the log of a gateway tells of stores that are away."""

from __future__ import annotations

import logging

from telemetry.outage import Outage

_log = logging.getLogger(__name__)

JOB_STORE = Outage(_log, "The job store")
ARTIFACT_STORE = Outage(_log, "The artifact store")
