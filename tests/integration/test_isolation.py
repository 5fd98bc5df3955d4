"""No request changes the output of another one: mixed in one process as each in a process of its own."""

import json
import random
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from tests.integration.ways import WAYS
from wan_models.loras import CATALOG_FILE, TASKS

ROOT = Path(__file__).parent.parent.parent


NAMES = (*WAYS, "t2v-A14B@magcache", "i2v-A14B@magcache", "i2v-A14B@first-block", "ti2v-5B@taylorseer")
Make = Callable[..., dict[str, str]]


@pytest.fixture(scope="module")
def make(tmp_path_factory: pytest.TempPathFactory, measured_dir: Path, media: Path) -> Make:
    """Runs ``tests.integration.isolated``, with a catalog of one adapter for every task that takes any."""
    loras = tmp_path_factory.mktemp("loras")
    name = "transformer.blocks.0.attn1.to_q"
    save_file(
        {f"{name}.lora_A.weight": torch.ones(2, 24), f"{name}.lora_B.weight": torch.ones(24, 2)},
        loras / "a.safetensors",
    )
    lines = [f'tasks."{task}".file = "a.safetensors"' for task in TASKS]
    (loras / CATALOG_FILE).write_text("\n".join(["[a]", *lines]))

    def made(*arguments: str) -> dict[str, str]:
        paths = map(str, (measured_dir, media, loras))
        command = [sys.executable, "-m", "tests.integration.isolated", *paths, *arguments]
        lines = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
        return dict(json.loads(line) for line in lines.splitlines())

    return made


@pytest.fixture(scope="module")
def mixed(make: Make) -> Mapping[str, str]:
    """What one process makes of each way's request, behind requests of every other kind."""
    names = list(NAMES)
    random.Random(0).shuffle(names)
    return make(*names, "--mixed")


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_request_makes_the_same_video_behind_any_others_as_alone(make, mixed, name):
    assert make(name) == {name: mixed[name]}
