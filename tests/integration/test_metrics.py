"""What Prometheus gets to see, asked for as it asks."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from threading import Event, Thread

import httpx
import pytest
import yaml
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from api.settings import GatewaySettings
from jobs.artifacts_local import LocalArtifactStore
from jobs.disks import Disks
from jobs.dispatch import Dispatcher
from jobs.metrics import DiskMetrics, MetricsPortError, StoreMetrics, serving
from jobs.policy import Policy
from jobs.state import JobError, NewJob
from jobs.store_redis import RedisJobStore, connect
from jobs.webhook_store import WebhookStore
from tests.e2e.conftest import free_port
from tests.fake_nvml import FakeNvml
from tests.small_disk import SMALL_DISK_BYTES, fill
from workers.gpu_metrics import GpuMetrics
from workers.gpus import present_gpus
from workers.maintenance import Maintenance
from workers.metrics import AttemptMetrics
from workers.news import News

DEPLOY = Path(__file__).parent.parent.parent / "deploy"
QUEUE = "t2v-A14B"


class Clock:
    def __init__(self):
        self.time = 1_800_000_000.0

    def __call__(self):
        return self.time


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def store(redis_url, clock):
    return RedisJobStore(connect(redis_url), Policy(lease_seconds=30), clock=clock)


@pytest.fixture
def told_of_stores(redis_url, store, tmp_path):
    webhooks = WebhookStore(connect(redis_url))
    return StoreMetrics(store, webhooks, LocalArtifactStore(tmp_path / "artifacts"), [QUEUE, "ti2v-5B"])


def samples(*collectors):
    """Every sample by its name and its labels in their order."""
    registry = CollectorRegistry()
    for collector in collectors:
        registry.register(collector)
    return parsed(generate_latest(registry).decode())


def parsed(text):
    return {
        (sample.name, *(label for _, label in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def submit(store, number):
    return store.submit(NewJob(id=f"job_{number}", queue=QUEUE, spec={}))


def claim(store, worker="gpu0@here"):
    job = store.claim(QUEUE, worker)
    assert job
    return job


def test_queues_workers_and_stores_are_told(store, told_of_stores, clock):
    submit(store, 1)
    clock.time += 40
    submit(store, 2)
    clock.time += 20
    store.announce("gpu0@here", [QUEUE])
    store.announce("gpu1@here", [QUEUE], [])
    told = samples(told_of_stores)
    assert told["wanserve_jobs", QUEUE, "queued"] == 2
    assert told["wanserve_jobs", QUEUE, "in_progress"] == 0
    assert told["wanserve_oldest_queued_seconds", QUEUE] == 60
    assert told["wanserve_oldest_queued_seconds", "ti2v-5B"] == 0
    assert (told["wanserve_workers", QUEUE], told["wanserve_workers", "ti2v-5B"]) == (1, 0)
    assert (told["wanserve_store_up", "redis"], told["wanserve_store_up", "artifacts"]) == (1, 1)
    assert told["wanserve_webhook_attempts_total", "delivered"] == 0


def test_a_store_that_is_away_is_told_and_hides_nothing_else(tmp_path):
    away = connect("redis://127.0.0.1:1")
    root = tmp_path / "file"
    root.touch()
    metrics = StoreMetrics(
        RedisJobStore(away, Policy()), WebhookStore(away), LocalArtifactStore(root), [QUEUE]
    )
    told = samples(metrics)
    assert (told["wanserve_store_up", "redis"], told["wanserve_store_up", "artifacts"]) == (0, 0)
    assert ("wanserve_jobs", QUEUE, "queued") not in told


def finish_one_of_each(store, clock):
    """Attempts that are released, fail, complete, are cancelled and get lost; tells of each job as it is."""
    submit(store, 1)
    yield store.get("job_1")
    clock.time += 8
    yield store.release(claim(store).lease)
    yield store.retry(claim(store).lease, JobError("device_fault", "broke"))
    done = claim(store)
    clock.time += 3
    metrics = {"seconds_per_step": 0.7, "load_seconds": 20.0, "encode_seconds": 1, "upload_seconds": 2}
    metrics |= {"models_loaded": 1, "models_evicted": 2}
    yield store.succeed(done.lease, {"metrics": metrics})
    submit(store, 2)
    yield store.retry(claim(store).lease, JobError("device_fault", "broke"))
    clock.time += 1
    yield store.cancel("job_2")  # while it waits: ends no attempt
    submit(store, 3)
    claim(store)
    clock.time += 60
    yield from store.rescue()
    yield store.fail(claim(store, "gpu0@elsewhere").lease, JobError("internal_error", "broke"))


def test_every_attempt_of_this_machine_is_counted_once_by_its_outcome(store, clock):
    metrics = AttemptMetrics("here")
    for job in finish_one_of_each(store, clock):
        metrics.observe(job)
    told = samples(metrics)
    outcomes = {labels[0]: told[name, *labels] for name, *labels in told if name == "wanserve_attempts_total"}
    assert outcomes == {"released": 1, "device_fault": 2, "completed": 1, "worker_lost": 1}
    assert told["wanserve_retries_total", QUEUE] == 3
    assert told["wanserve_model_loads_total", QUEUE] == 1
    assert told["wanserve_model_evictions_total", QUEUE] == 2
    assert told["wanserve_wait_seconds_count", QUEUE] == 3
    assert told["wanserve_wait_seconds_sum", QUEUE] == 8
    assert told["wanserve_run_seconds_sum", QUEUE] == 63
    assert told["wanserve_step_seconds_bucket", "1.0", QUEUE] == 1
    assert told["wanserve_model_load_seconds_sum", QUEUE] == 20


def test_what_a_warm_model_took_to_load_is_no_load(store, clock):
    metrics = AttemptMetrics("here", [QUEUE])
    submit(store, 1)
    told = {"load_seconds": 0.0, "models_loaded": 0, "models_evicted": 0}
    metrics.observe(store.succeed(claim(store).lease, {"metrics": told}))
    assert samples(metrics)["wanserve_model_loads_total", QUEUE] == 0
    assert samples(metrics)["wanserve_model_load_seconds_count", QUEUE] == 0


def test_rescues_are_counted_by_whoever_made_them_whosever_the_worker_was(store, clock, redis_url):
    metrics = AttemptMetrics("here", [QUEUE])
    assert samples(metrics)["wanserve_rescues_total", QUEUE] == 0
    submit(store, 1)
    claim(store, "gpu0@a-machine-that-died")
    clock.time += 60
    dispatcher = Dispatcher(connect(redis_url))
    artifacts = LocalArtifactStore(Path("nowhere"))
    Maintenance(store, artifacts, dispatcher, [QUEUE], lease_seconds=30, rescued=metrics.rescued).rescue()
    assert samples(metrics)["wanserve_rescues_total", QUEUE] == 1
    assert dispatcher.waiting(QUEUE) == 2


def test_every_outcome_that_an_alert_looks_at_is_told_from_the_start():
    told = samples(AttemptMetrics("here", [QUEUE]))
    rules = (DEPLOY / "monitoring" / "alerts.yml").read_text()
    named = {code for names in re.findall(r'outcome=~?"([^"]*)"', rules) for code in names.split("|")}
    assert named
    assert all(("wanserve_attempts_total", code, QUEUE) in told for code in named)
    assert told["wanserve_wait_seconds_count", QUEUE] == told["wanserve_retries_total", QUEUE] == 0


def test_news_of_jobs_arrive_as_they_end(redis_url, store):
    heard, arrived, stopped = [], Event(), Event()

    def hear(job):
        heard.append(job.state)
        if job.state.is_final:
            arrived.set()

    news = Thread(target=News(redis_url, store, hear).run, args=(stopped,))
    news.start()
    try:
        while not connect(redis_url).pubsub_numsub("wan:feed")[0][1]:
            assert news.is_alive()
        submit(store, 1)
        store.succeed(claim(store).lease, {})
        assert arrived.wait(30)
    finally:
        stopped.set()
        news.join()
    assert heard[-1] == "completed"


@pytest.fixture
def two_gpus(monkeypatch):
    nvml = FakeNvml()
    monkeypatch.setattr("workers.gpu_metrics.pynvml", nvml)
    yield nvml
    assert not nvml.open


@pytest.mark.skipif(bool(present_gpus()), reason="there is a GPU")
def test_without_a_driver_gpus_are_left_out():
    assert not [name for name, *_ in samples(GpuMetrics())]


def test_a_driver_that_fails_leaves_them_out_as_well(two_gpus):
    two_gpus.broken = True
    assert samples(GpuMetrics()) == {}


def test_gpus_tell_what_they_can(two_gpus):
    told = samples(GpuMetrics())
    assert told["wanserve_gpu_memory_used_bytes", "0"] == 1024**3
    assert told["wanserve_gpu_utilization_ratio", "0"] == 0.5
    assert told["wanserve_gpu_memory_bytes", "1"] == 2 * 1024**3
    assert ("wanserve_gpu_utilization_ratio", "1") not in told


def test_disks_tell_how_much_room_there_is_and_is_to_be(tmp_path, small_disk):
    told = samples(DiskMetrics(Disks({"data": small_disk / "yet" / "to come"}, 2**20)))
    assert 0 < told["wanserve_disk_free_bytes", "data"] <= SMALL_DISK_BYTES
    assert told["wanserve_disk_reserve_bytes",] == 2**20
    fill(small_disk)
    assert (
        samples(DiskMetrics(Disks({"data": small_disk}, 0)))["wanserve_disk_free_bytes", "data"] < 64 * 1024
    )


def test_every_metric_of_the_dashboard_and_the_alerts_is_in_a_scrape(
    store, clock, told_of_stores, two_gpus, tmp_path
):
    attempts = AttemptMetrics("here", [QUEUE])
    for job in finish_one_of_each(store, clock):
        attempts.observe(job)
    with pytest.raises(MetricsPortError), serving("256.0.0.1", free_port()):
        pass
    port = free_port()
    disks = DiskMetrics(Disks({"data": tmp_path}, 0))
    with serving("127.0.0.1", port, told_of_stores, attempts, GpuMetrics(), disks):
        told = {name for name, *_ in parsed(httpx.get(f"http://127.0.0.1:{port}/metrics").text)}
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"http://127.0.0.1:{port}/metrics")
    named = set()
    for file in ("dashboard.json", "alerts.yml"):
        found = set(re.findall(r"\bwanserve_\w+", (DEPLOY / "monitoring" / file).read_text()))
        assert found
        named |= found
    assert named <= told


def test_alerts_and_dashboard_can_be_read_and_each_alert_is_explained():
    alerts = yaml.safe_load((DEPLOY / "monitoring" / "alerts.yml").read_text())
    for rule in alerts["groups"][0]["rules"]:
        assert {"alert", "expr", "labels", "annotations"} <= set(rule)
    page = (DEPLOY.parent / "docs" / "operations.md").read_text().partition("## Backup")[0]
    rows = re.findall(r"^\| ([A-Z]\w+(?:, [A-Z]\w+)*) \|", page, flags=re.MULTILINE)
    documented = {name for row in rows for name in row.split(", ")}
    assert documented == {rule["alert"] for rule in alerts["groups"][0]["rules"]}
    board = json.loads((DEPLOY / "monitoring" / "dashboard.json").read_text())
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])


@pytest.mark.skipif(not shutil.which("promtool"), reason="promtool (Debian's prometheus) is not installed")
def test_promtool_finds_no_fault_in_the_rules_and_the_configuration():
    subprocess.run(["promtool", "check", "config", DEPLOY / "monitoring" / "prometheus.yml"], check=True)


@pytest.mark.skipif(not shutil.which("promtool"), reason="promtool (Debian's prometheus) is not installed")
def test_each_alert_rings_when_it_should_and_at_no_other_time():
    subprocess.run(["promtool", "test", "rules", "alerts_test.yml"], cwd=DEPLOY / "monitoring", check=True)


@pytest.mark.skipif(not shutil.which("promtool"), reason="promtool (Debian's prometheus) is not installed")
def test_alerts_are_sent_on_once_the_lines_for_it_are_no_comment(tmp_path):
    text = (DEPLOY / "monitoring" / "prometheus.yml").read_text()
    opened = re.sub(r"^# ((alerting:$|  ).*)", r"\1", text, flags=re.MULTILINE)
    assert "alerting" not in yaml.safe_load(text)
    assert yaml.safe_load(opened)["alerting"]["alertmanagers"]
    shutil.copy(DEPLOY / "monitoring" / "alerts.yml", tmp_path)
    (tmp_path / "prometheus.yml").write_text(opened)
    subprocess.run(["promtool", "check", "config", tmp_path / "prometheus.yml"], check=True)


def test_each_alert_is_heard_and_kept_silent_in_the_tests():
    rules = yaml.safe_load((DEPLOY / "monitoring" / "alerts.yml").read_text())["groups"][0]["rules"]
    runs = yaml.safe_load((DEPLOY / "monitoring" / "alerts_test.yml").read_text())["tests"]
    looked_at = [
        (one["alertname"], bool(one.get("exp_alerts"))) for run in runs for one in run["alert_rule_test"]
    ]
    assert set(looked_at) == {(rule["alert"], heard) for rule in rules for heard in (True, False)}


def test_the_compose_project_scrapes_the_port_that_it_sets():
    compose = yaml.safe_load((DEPLOY / "docker-compose.yml").read_text())
    scraped = yaml.safe_load((DEPLOY / "monitoring" / "prometheus.yml").read_text())
    (service,) = scraped["scrape_configs"][0]["dns_sd_configs"]
    assert compose["x-environment"]["METRICS_PORT"] == str(service["port"])
    assert set(service["names"]) <= set(compose["services"])


def test_without_a_port_nothing_listens():
    assert GatewaySettings.model_fields["metrics_port"].default is None
    with serving("127.0.0.1", None):
        pass
