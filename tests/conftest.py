"""What every test may use."""

import os

# Before torch is imported: idle threads of the pipelines under test must not spin on the few cores there are.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

pytest_plugins = ["tests.servers", "tests.small_disk"]
