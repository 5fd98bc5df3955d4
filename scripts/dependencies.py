"""Print what extras need, a requirement a line: an image installs it before it copies the code."""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path


def main() -> None:
    """``python3 scripts/dependencies.py gateway traces``, in the folder of pyproject.toml."""
    project = tomllib.loads(Path("pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    print("\n".join([*project["dependencies"], *(line for name in sys.argv[1:] for line in extras[name])]))


if __name__ == "__main__":
    main()
