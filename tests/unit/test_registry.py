"""The registry: lazy, with models warm while there is room."""

import gc
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
from wan_models.plan import Plan
from wan_models.registry import MemoryRules, Registry

ALIVE: weakref.WeakSet["StubPipeline"] = weakref.WeakSet()


class StubPipeline:
    """Notes which of its kind were alive when it was loaded."""

    def __init__(self, path: Path, options: PipelineOptions) -> None:
        self.path = path
        self.plan = options.plan
        self.met = {other.path.name for other in ALIVE}
        self.itself = self  # like a real pipeline, freed by the collector alone
        ALIVE.add(self)


class Device:
    """Stands in for the device's memory: 100 bytes, of which every warm model that is resident has some."""

    def __init__(self) -> None:
        self.gpu = True
        self.host = 1000
        self.cleaned = 0

    def has_gpu(self) -> bool:
        return self.gpu

    def bytes_each(self) -> int:
        return 2

    def free_bytes(self) -> int:
        return 100 - sum(30 for stub in ALIVE if stub.plan is Plan.RESIDENT)

    def host_free_bytes(self) -> int:
        return self.host - sum(30 for stub in ALIVE if stub.plan is not Plan.RESIDENT)

    def free_memory(self) -> None:
        gc.collect()
        self.cleaned += 1


@pytest.fixture
def device(monkeypatch) -> Device:
    device = Device()
    monkeypatch.setattr(registry, "_memory", lambda: device)
    return device


@pytest.fixture
def make(tmp_path, monkeypatch, device):
    """Registries in which every task is installed, takes 30 bytes, and loads as a stub."""
    where = f"{__name__}:{StubPipeline.__name__}"
    specs = {task: replace(spec, pipeline=where) for task, spec in CATALOG.items()}
    monkeypatch.setattr(registry, "CATALOG", specs)
    monkeypatch.setattr(
        registry, "installed_model", lambda root, task: InstalledModel(task, root / task, tiny=True)
    )
    monkeypatch.setattr(registry, "part_sizes", lambda _path, _each: {"transformer": 20, "text_encoder": 10})
    gc.collect()
    return lambda **rules: Registry(tmp_path, rules=MemoryRules(**rules))


@pytest.fixture
def stubs(make) -> Registry:
    empty: Registry = make()
    return empty


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


def test_models_stay_warm_while_there_is_room_and_the_one_used_longest_ago_goes_first(stubs):
    for task in ("t2v-A14B", "ti2v-5B", "i2v-A14B", "t2v-A14B"):
        stubs.load(task)
    assert stubs.load("s2v-14B").met == {"t2v-A14B", "i2v-A14B"}


def test_no_more_models_are_warm_than_may_be(make):
    stubs = make(models=1)
    stubs.load("t2v-A14B")
    assert stubs.load("ti2v-5B").met == set()


def test_no_more_memory_is_taken_than_the_budget(make):
    stubs = make(budget=60)
    for task in ("t2v-A14B", "ti2v-5B"):
        stubs.load(task)
    assert stubs.load("i2v-A14B").met == {"ti2v-5B"}


def test_models_that_stay_on_the_host_do_not_fill_it(make, device):
    device.host = 60
    stubs = make(plan=Plan.MODEL_OFFLOAD)
    for task in ("t2v-A14B", "ti2v-5B"):
        stubs.load(task)
    assert stubs.load("i2v-A14B").met == {"ti2v-5B"}


def test_a_part_that_models_share_counts_once(make, monkeypatch):
    monkeypatch.setattr(registry, "shared_digests", lambda _path: {"text_encoder": "the same"})
    stubs = make(budget=50)
    stubs.load("t2v-A14B")
    assert stubs.load("ti2v-5B").met == {"t2v-A14B"}


def test_each_task_gets_its_own_model_in_any_order(stubs):
    tasks = ["t2v-A14B", "ti2v-5B", "t2v-A14B"]
    assert [stubs.load(task).path.name for task in tasks] == tasks


def test_a_model_that_ran_out_of_memory_is_loaded_with_the_next_smaller_plan_until_none_is_left(stubs):
    plans = []
    while True:
        plans.append(stubs.load("t2v-A14B").plan)
        if not stubs.lower("t2v-A14B"):
            break
        stubs.free()
    assert plans == list(Plan)
    stubs.free()
    assert stubs.load("t2v-A14B").plan is Plan.FP8
    assert stubs.load("ti2v-5B").plan is Plan.RESIDENT


def test_a_model_that_could_not_even_be_loaded_is_tried_with_a_smaller_plan(stubs):
    assert stubs.lower("t2v-A14B")
    assert stubs.load("t2v-A14B").plan is Plan.MODEL_OFFLOAD


def test_the_others_go_before_the_plan_does(stubs):
    for task in ("ti2v-5B", "t2v-A14B"):
        stubs.load(task)
    assert stubs.lower("t2v-A14B")
    stubs.free()
    assert stubs.load("t2v-A14B").plan is Plan.RESIDENT


def test_on_a_cpu_no_plan_helps(stubs, device):
    device.gpu = False
    assert stubs.load("t2v-A14B").plan is Plan.RESIDENT
    assert not stubs.lower("t2v-A14B")


def test_a_deployment_may_choose_the_plan(make):
    stubs = make(plan=Plan.GROUP_OFFLOAD)
    assert stubs.load("t2v-A14B").plan is Plan.GROUP_OFFLOAD
    assert stubs.lower("t2v-A14B")
    stubs.free()
    assert stubs.load("t2v-A14B").plan is Plan.FP8


def test_a_model_that_fits_alone_by_a_smaller_plan_gets_that_one(make):
    stubs = make(budget=25)
    assert stubs.load("t2v-A14B").plan is Plan.MODEL_OFFLOAD


def test_a_run_is_cleaned_up_behind_on_a_gpu(stubs, device):
    stubs.load("t2v-A14B")
    stubs.clean()
    device.gpu = False
    stubs.clean()
    assert device.cleaned == 1


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
