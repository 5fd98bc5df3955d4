"""Writes deploy/kubernetes/alerts.yaml from its one source: ``python -m scripts.prometheus_rule``."""

from __future__ import annotations

from pathlib import Path
from textwrap import indent

_DEPLOY = Path(__file__).parents[1] / "deploy"
SOURCE = _DEPLOY / "monitoring" / "alerts.yml"
TARGET = _DEPLOY / "kubernetes" / "alerts.yaml"
_HEAD = """\
# Made of ../monitoring/alerts.yml by python -m scripts.prometheus_rule: change that file, not this one.
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: wanserve
spec:
"""


def prometheus_rule() -> str:
    """The alerts as the Prometheus operator takes them."""
    return _HEAD + indent(SOURCE.read_text(encoding="utf-8"), "  ")


def main() -> None:
    """Write the file."""
    TARGET.write_text(prometheus_rule(), encoding="utf-8")


if __name__ == "__main__":
    main()
