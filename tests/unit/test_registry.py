"""The registry: lazy, and one model warm at a time."""

import re
import subprocess
import sys
import weakref
from dataclasses import replace
from pathlib import Path

import pytest

from wan_models import registry
from wan_models.catalog import CATALOG
from wan_models.errors import ModelNotInstalledError, PipelineUnavailableError, UnknownModelError
from wan_models.models_dir import InstalledModel
from wan_models.options import PipelineOptions
from wan_models.registry import Registry

ALIVE: weakref.WeakSet["StubPipeline"] = weakref.WeakSet()


class StubPipeline:
    """Notes which of its kind were alive when it was loaded."""

    def __init__(self, path: Path, options: PipelineOptions) -> None:
        self.path = path
        self.offload = options.offload
        self.met = {other.path.name for other in ALIVE}
        self.itself = self  # like a real pipeline, freed by the collector alone
        ALIVE.add(self)


@pytest.fixture
def stubs(tmp_path, monkeypatch) -> Registry:
    """A registry in which every task is installed and loads as a stub."""
    where = f"{__name__}:{StubPipeline.__name__}"
    specs = {task: replace(spec, pipeline=where) for task, spec in CATALOG.items()}
    monkeypatch.setattr(registry, "CATALOG", specs)
    monkeypatch.setattr(
        registry, "installed_model", lambda root, task: InstalledModel(task, root / task, tiny=True)
    )
    return Registry(tmp_path)


@pytest.mark.parametrize("module", ["catalog", "request", "models_dir", "errors", "pipeline", "registry"])
def test_nothing_outside_the_pipelines_imports_torch(module):
    code = (
        f"import sys, wan_models.{module}; sys.exit(bool({{'torch', 'diffusers', 'av'}} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_model_is_loaded_from_its_folder(stubs, tmp_path):
    assert stubs.load("t2v-A14B").path == tmp_path / "t2v-A14B"


def test_a_model_stays_warm(stubs):
    assert stubs.load("t2v-A14B") is stubs.load("t2v-A14B")


def test_the_former_model_is_freed_before_the_next_one_is_loaded(stubs):
    stubs.load("t2v-A14B")
    assert stubs.load("ti2v-5B").met == set()


def test_each_task_gets_its_own_model_in_any_order(stubs):
    tasks = ["t2v-A14B", "ti2v-5B", "t2v-A14B"]
    assert [stubs.load(task).path.name for task in tasks] == tasks


def test_a_model_is_loaded_again_when_it_has_to_do_with_less_memory(stubs):
    resident = stubs.load("t2v-A14B")
    offloaded = stubs.load("t2v-A14B", offload=True)
    assert (resident.offload, offloaded.offload, offloaded.met) == (False, True, {"t2v-A14B"})


def test_a_model_that_had_to_do_with_less_memory_goes_on_so_while_it_is_warm(stubs):
    assert stubs.load("t2v-A14B", offload=True) is stubs.load("t2v-A14B")


def test_every_model_can_be_let_go_of(stubs):
    stubs.load("t2v-A14B")
    stubs.free()
    assert not ALIVE
    assert stubs.load("t2v-A14B").met == set()


def test_an_unknown_task_is_refused(tmp_path):
    with pytest.raises(UnknownModelError):
        Registry(tmp_path).load("t2v-1.3B")


def test_a_task_without_a_pipeline_is_refused(tmp_path, monkeypatch):
    bare = {task: replace(spec, pipeline=None) for task, spec in CATALOG.items()}
    monkeypatch.setattr(registry, "CATALOG", bare)
    with pytest.raises(PipelineUnavailableError):
        Registry(tmp_path).load("s2v-14B")


def test_a_model_that_is_not_installed_is_refused_with_the_command_that_installs_it(tmp_path):
    command = "python scripts/download_wan_models.py --model t2v-A14B"
    with pytest.raises(ModelNotInstalledError, match=re.escape(command)):
        Registry(tmp_path).load("t2v-A14B")
