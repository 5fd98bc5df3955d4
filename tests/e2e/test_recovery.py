"""What dies comes back, and no job is lost with it."""

import signal
from pathlib import Path

import psutil
import pytest
from redis import Redis

from jobs.connect import open_store
from jobs.settings import JobsSettings
from tests.e2e.conftest import Service, running_service

pytestmark = pytest.mark.slow

LONG = {"size": "832*480", "frame_num": 9, "sample_steps": 40}


@pytest.fixture(scope="module")
def fragile(tmp_path_factory):
    """A service with short leases, so that recovery takes seconds."""
    data_dir = tmp_path_factory.mktemp("fragile") / "data"
    with running_service(data_dir, LEASE_SECONDS="2") as service:
        yield service, data_dir


def processes(service: Service, *words: str) -> list[psutil.Process]:
    family = psutil.Process(service.process.pid).children(recursive=True)
    return [process for process in family if all(word in " ".join(process.cmdline()) for word in words)]


def device_owner(service: Service) -> psutil.Process:
    """The child that runs the jobs: the one below the Celery parent."""
    (parent,) = (
        process
        for process in processes(service, "workers.worker")
        if any("workers.worker" in " ".join(child.cmdline()) for child in process.children())
    )
    return parent.children()[0]


def running_job(service: Service) -> str:
    job_id: str = service.submit(**LONG)["id"]
    service.wait(job_id, lambda job: job["step"] > 0)
    return job_id


def test_a_killed_child_costs_an_attempt_and_not_the_job(fragile):
    service, _ = fragile
    job_id = running_job(service)
    device_owner(service).send_signal(signal.SIGKILL)
    done = service.finished(job_id)
    assert (done["status"], done["attempt"]) == ("completed", 2)


def test_a_killed_worker_is_started_again_and_its_job_completes(fragile):
    service, _ = fragile
    job_id = running_job(service)
    psutil.Process(device_owner(service).ppid()).send_signal(signal.SIGKILL)
    done = service.finished(job_id)
    assert (done["status"], done["attempt"]) == ("completed", 2)


def test_a_job_whose_message_is_lost_is_sent_again(fragile):
    service, data_dir = fragile
    busy = running_job(service)
    waiting = service.submit()["id"]
    store = open_store(JobsSettings(data_dir=data_dir))
    with Redis.from_url(JobsSettings(data_dir=data_dir).redis_address) as broker:
        assert broker.delete("t2v-A14B") == 1
    service.client.post(f"/jobs/{busy}/cancel").raise_for_status()
    assert service.finished(waiting)["status"] == "completed"
    assert store.get(waiting).failures == 0


def test_a_message_that_comes_twice_changes_nothing(fragile):
    service, data_dir = fragile
    done = service.finished(service.submit()["id"])
    store = open_store(JobsSettings(data_dir=data_dir))
    before = store.get(done["id"])
    with Redis.from_url(JobsSettings(data_dir=data_dir).redis_address) as broker:
        busy = running_job(service)
        other = service.submit()["id"]
        message = broker.lindex("t2v-A14B", -1)
        broker.rpush("t2v-A14B", message.replace(other.encode(), done["id"].encode()), message)
    service.client.post(f"/jobs/{busy}/cancel").raise_for_status()
    assert service.finished(other)["attempt"] == 1
    assert store.get(done["id"]) == before


def test_a_killed_gateway_is_started_again_and_knows_every_job(fragile):
    service, _ = fragile
    done = service.finished(service.submit()["id"])
    (gateway,) = processes(service, "-m api")
    gateway.send_signal(signal.SIGKILL)
    gateway.wait(30)
    service.wait_until_ready()
    assert service.job(done["id"]) == done


def test_a_killed_embedded_redis_is_started_again_with_every_job_and_nothing_else_is(fragile):
    service, _ = fragile
    done, running = service.finished(service.submit()["id"]), running_job(service)
    (redis,) = (process for process in processes(service, "valkey-server") if "valkey" in process.name())
    (gateway,) = processes(service, "-m api")
    others = [gateway, device_owner(service), psutil.Process(device_owner(service).ppid())]
    redis.send_signal(signal.SIGKILL)
    redis.wait(30)
    service.wait_until_ready()
    assert service.job(done["id"]) == done
    ended = service.finished(running)
    assert (ended["status"], ended["attempt"]) == ("completed", 1)
    assert service.finished(service.submit()["id"])["status"] == "completed"
    assert all(process.is_running() for process in others)


def test_nothing_outlives_a_killed_service(tmp_path):
    with running_service(tmp_path / "data", exit_code=-signal.SIGKILL) as service:
        family = psutil.Process(service.process.pid).children(recursive=True)
        assert len(family) > 3
        service.process.send_signal(signal.SIGKILL)
        _, alive = psutil.wait_procs(family, timeout=90)
        assert alive == []


@pytest.mark.skipif(
    not Path("/proc").is_dir(), reason="reads the maps of a live process, as Linux shows them"
)
def test_the_parent_of_a_worker_never_imports_torch(fragile):
    service, _ = fragile
    service.finished(service.submit()["id"])
    child = device_owner(service)
    assert "libtorch" in Path(f"/proc/{child.pid}/maps").read_text()
    assert "libtorch" not in Path(f"/proc/{child.ppid()}/maps").read_text()
