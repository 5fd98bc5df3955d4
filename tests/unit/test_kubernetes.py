"""deploy/kubernetes, held to the schemas of Kubernetes, KEDA and the Prometheus operator, and to the code."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from jobs.settings import JobsSettings
from scripts.prometheus_rule import SOURCE, TARGET, prometheus_rule
from wan_models.catalog import CATALOG
from workers.settings import WorkerSettings

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy" / "kubernetes"
OPERATOR_FILES = [FOLDER / "monitor.yaml", FOLDER / "alerts.yaml"]
FILES = sorted(
    path
    for path in FOLDER.rglob("*.yaml")
    if path.name != "kustomization.yaml" and path not in OPERATOR_FILES
)
SCALED_OBJECT = json.loads((ROOT / "tests/data/keda.sh_scaledobjects.json").read_text())
OPERATOR = json.loads((ROOT / "tests/data/monitoring.coreos.com.json").read_text())


def documents(kind: str) -> Iterator[dict[str, Any]]:
    for path in FILES:
        yield from (part for part in yaml.safe_load_all(path.read_text()) if part["kind"] == kind)


def pods() -> dict[str, dict[str, str]]:
    """The labels of every pod by its workload's name, with those that the kustomization adds to templates."""
    added: dict[str, str] = {}
    for labels in yaml.safe_load((FOLDER / "kustomization.yaml").read_text())["labels"]:
        if labels.get("includeTemplates"):
            added |= labels["pairs"]
    return {
        one["metadata"]["name"]: one["spec"]["template"]["metadata"]["labels"] | added
        for one in (*documents("Deployment"), *documents("StatefulSet"))
    }


def selects(selector: dict[str, Any], labels: dict[str, str]) -> bool:
    """Whether a selector, of the two kinds that are used here, selects a pod with these labels."""
    assert set(selector) <= {"matchLabels", "matchExpressions"}
    wanted = {name: [value] for name, value in selector.get("matchLabels", {}).items()}
    for one in selector.get("matchExpressions", []):
        assert one["operator"] == "In"
        wanted[one["key"]] = one["values"]
    return all(labels.get(name) in values for name, values in wanted.items())


def passes(labels: dict[str, str], way: str, peer: dict[str, str], port: int | str) -> bool:
    """Whether a policy lets a pod's traffic pass, ``ingress`` or ``egress``, from or to a pod beside it."""
    return any(
        "podSelector" in other
        and "namespaceSelector" not in other
        and selects(other["podSelector"], peer)
        and port in {open_["port"] for open_ in rule["ports"]}
        for rule in rules(labels, way)
        for other in rule.get("from" if way == "ingress" else "to", [])
    )


def rules(labels: dict[str, str], way: str) -> list[dict[str, Any]]:
    """The rules of all policies that select a pod: what one of them allows is allowed."""
    policies = [one["spec"] for one in documents("NetworkPolicy")]
    return [rule for one in policies if selects(one["podSelector"], labels) for rule in one.get(way, [])]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_kubernetes_takes_it_as_it_is(path):
    program = Path(sys.executable).parent / "kubernetes-validate"
    checked = subprocess.run([program, "--strict", path], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "INFO" in checked.stdout + checked.stderr


def operator_documents() -> Iterator[dict[str, Any]]:
    for path in OPERATOR_FILES:
        yield from yaml.safe_load_all(path.read_text())


def test_the_prometheus_operator_takes_its_own_as_they_are():
    for one in operator_documents():
        jsonschema.validate(one, OPERATOR[one["kind"]])
    assert {one["kind"] for one in operator_documents()} == {"ServiceMonitor", "PodMonitor", "PrometheusRule"}


@pytest.mark.parametrize("kind", ["ServiceMonitor", "PodMonitor", "PrometheusRule"])
def test_a_slip_of_the_pen_would_be_found(kind):
    one = next(one for one in operator_documents() if one["kind"] == kind)
    one["spec"]["endpoint"] = []
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(one, OPERATOR[kind])


def test_what_is_monitored_is_there_with_a_port_of_that_name():
    services = list(documents("Service"))
    pods = [one["spec"]["template"] for one in documents("Deployment")]
    ports = {
        "ServiceMonitor": [(s["metadata"].get("labels", {}), s["spec"]["ports"]) for s in services],
        "PodMonitor": [(p["metadata"]["labels"], p["spec"]["containers"][0].get("ports", [])) for p in pods],
    }
    for one in operator_documents():
        if one["kind"] == "PrometheusRule":
            continue
        selector = one["spec"]["selector"]
        endpoints = one["spec"].get("endpoints") or one["spec"]["podMetricsEndpoints"]
        found = [named for labels, named in ports[one["kind"]] if selects(selector, labels)]
        assert found
        assert all(endpoints[0]["port"] in {port["name"] for port in named} for named in found)


def test_the_alerts_are_those_of_their_one_source():
    assert TARGET.read_text() == prometheus_rule()
    (rule,) = (one for one in operator_documents() if one["kind"] == "PrometheusRule")
    assert rule["spec"] == yaml.safe_load(SOURCE.read_text())


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


def test_every_network_policy_is_about_pods_that_there_are():
    for one in documents("NetworkPolicy"):
        policy = one["spec"]
        rules_ = [*policy.get("ingress", []), *policy.get("egress", [])]
        peers = [peer for rule in rules_ for peer in (*rule.get("from", []), *rule.get("to", []))]
        ours = [peer["podSelector"] for peer in peers if "namespaceSelector" not in peer]
        for selector in (policy["podSelector"], *ours):
            assert any(selects(selector, labels) for labels in pods().values()), (one["metadata"], selector)


def test_every_pod_is_denied_what_is_not_allowed_and_may_ask_for_names():
    for name, labels in pods().items():
        policies = [
            one["spec"] for one in documents("NetworkPolicy") if selects(one["spec"]["podSelector"], labels)
        ]
        assert {way for policy in policies for way in policy["policyTypes"]} == {"Ingress", "Egress"}, name
        names = {"port": 53, "protocol": "UDP"}
        assert any(names in rule["ports"] for rule in rules(labels, "egress")), name


def test_every_pod_of_ours_and_no_other_one_reaches_redis():
    redis = pods()["wanserve-redis"]
    for name, labels in pods().items():
        assert passes(labels, "egress", redis, 6379), name
        assert passes(redis, "ingress", labels, "redis"), name
    assert not passes(redis, "ingress", {"app.kubernetes.io/name": "another"}, "redis")


def test_maintenance_and_webhooks_go_on_while_keda_has_scaled_every_worker_away():
    scaled = {one["spec"]["scaleTargetRef"]["name"] for one in documents("ScaledObject")}
    (maintenance,) = (
        one
        for one in documents("Deployment")
        if one["metadata"]["name"] not in scaled
        and "workers" in one["spec"]["template"]["spec"]["containers"][0].get("command", [])
    )
    container = maintenance["spec"]["template"]["spec"]["containers"][0]
    assert maintenance["spec"]["replicas"] >= 1
    assert container["command"] == ["python", "-m", "workers", "--queues", "none"]
    assert "nvidia.com/gpu" not in container["resources"]["limits"]


def test_flower_keeps_what_it_remembers_on_a_volume_that_lasts():
    claims = {one["metadata"]["name"] for one in documents("PersistentVolumeClaim")}
    (flower,) = (one for one in documents("Deployment") if one["metadata"]["name"] == "wanserve-flower")
    pod = flower["spec"]["template"]["spec"]
    (kept,) = (one for one in pod["volumes"] if "persistentVolumeClaim" in one)
    assert kept["persistentVolumeClaim"]["claimName"] in claims
    mounts = {one["name"]: one["mountPath"] for one in pod["containers"][0]["volumeMounts"]}
    assert f"DATA_DIR={mounts[kept['name']]}" in (ROOT / "deploy" / "Dockerfile.gateway").read_text()


def test_the_first_key_is_made_where_no_key_is_needed_to_start():
    text = (ROOT / "deploy" / "README.md").read_text()
    (name,) = re.findall(r"kubectl exec deployment/(\S+) -- wanserve keys create", text)
    (maker,) = (one for one in documents("Deployment") if one["metadata"]["name"] == name)
    container = maker["spec"]["template"]["spec"]["containers"][0]
    assert container["image"] == "wanserve-gateway"
    assert "api" not in container["command"]


def test_the_patches_for_a_managed_redis_change_what_is_there():
    text = (ROOT / "deploy" / "README.md").read_text()
    (patches,) = re.findall(r"```yaml\n(patches:\n.*?)```", text, flags=re.DOTALL)
    network, scaled = yaml.safe_load(patches)["patches"]
    (default,) = (one for one in documents("NetworkPolicy") if one["metadata"]["name"] == "wanserve-default")
    assert network["target"]["name"] == "wanserve-default"
    assert "wanserve-redis" in json.dumps(default["spec"]["egress"][1])  # what is replaced
    for one in documents("ScaledObject"):
        trigger = one["spec"]["triggers"][0]
        for change in yaml.safe_load(scaled["patch"]):
            *parents, name = change["path"].removeprefix("/spec/triggers/0/").split("/")
            (trigger["metadata"] if parents else trigger)[name] = change["value"]
        jsonschema.validate(one, SCALED_OBJECT)
        assert trigger["metadata"]["address"] == "redis.example.com:6380"
