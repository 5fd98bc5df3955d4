"""What deploy/kubernetes says, held to the schemas of Kubernetes and KEDA, and to the code."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from jobs.settings import JobsSettings
from wan_models.catalog import CATALOG
from workers.settings import WorkerSettings

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy" / "kubernetes"
FILES = sorted(
    path for path in FOLDER.rglob("*.yaml") if path.name not in {"kustomization.yaml", "monitor.yaml"}
)
SCALED_OBJECT = json.loads((ROOT / "tests/data/keda.sh_scaledobjects.json").read_text())


def documents(kind: str) -> Iterator[dict[str, Any]]:
    for path in FILES:
        yield from (part for part in yaml.safe_load_all(path.read_text()) if part["kind"] == kind)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_kubernetes_takes_it_as_it_is(path):
    program = Path(sys.executable).parent / "kubernetes-validate"
    checked = subprocess.run([program, "--strict", path], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "INFO" in checked.stdout + checked.stderr


def test_the_kustomization_names_every_file_but_the_example_of_a_secret():
    named = yaml.safe_load((FOLDER / "kustomization.yaml").read_text())["resources"]
    there = {str(path.relative_to(FOLDER)) for path in FOLDER.rglob("*.yaml")}
    assert set(named) == there - {"kustomization.yaml", "secret.example.yaml"}


def test_every_queue_has_workers_and_keda_scales_them_by_the_jobs_that_are_queued_or_running():
    scaled = list(documents("ScaledObject"))
    for one in scaled:
        jsonschema.validate(one, SCALED_OBJECT)
    by_queue = {one["spec"]["triggers"][0]["metadata"]["listName"]: one for one in scaled}
    assert set(by_queue) == {f"wan:active:{task}" for task in CATALOG}
    assert all(one["spec"]["minReplicaCount"] == 0 for one in scaled)


def test_workers_differ_in_their_queue_and_memory_alone():
    shapes = set()
    for one in documents("Deployment"):
        queue = one["spec"]["template"]["metadata"]["labels"].get("wanserve/queue")
        if queue:
            resources = one["spec"]["template"]["spec"]["containers"][0]["resources"]
            memory = resources["limits"]["memory"]
            assert resources["requests"]["memory"] == memory
            assert resources["limits"]["nvidia.com/gpu"] == "1"
            text = json.dumps(one, sort_keys=True).replace(memory, "MEMORY").replace(queue, "QUEUE")
            shapes.add(text.replace(queue.lower(), "NAME"))
    assert len(shapes) == 1


def test_a_worker_is_given_longer_to_end_than_it_drains():
    for one in documents("Deployment"):
        pod = one["spec"]["template"]["spec"]
        environment = {entry["name"]: entry["value"] for entry in pod["containers"][0].get("env", [])}
        if "DRAIN_SECONDS" in environment:
            assert pod["terminationGracePeriodSeconds"] > float(environment["DRAIN_SECONDS"]) + 60


def test_every_variable_is_one_that_the_code_reads():
    known = {name.upper() for name in (*JobsSettings.model_fields, *WorkerSettings.model_fields)}
    given = set(next(documents("ConfigMap"))["data"]) | set(next(documents("Secret"))["stringData"])
    assert given - {"FLOWER_BASIC_AUTH"} <= known


def test_nothing_runs_as_root_or_writes_to_its_image():
    for one in (*documents("Deployment"), *documents("StatefulSet")):
        pod = one["spec"]["template"]["spec"]
        assert pod["securityContext"]["runAsNonRoot"]
        for container in pod["containers"]:
            assert container["securityContext"]["readOnlyRootFilesystem"]
            assert not container["securityContext"]["allowPrivilegeEscalation"]
