"""Everything is lost, and comes back from a backup."""

import json
import shutil
from contextlib import suppress
from threading import Thread

import pytest
from redis import Redis
from redis.exceptions import ResponseError

from jobs.connect import open_artifacts, open_keys, open_store, open_webhooks
from jobs.embedded import EmbeddedRedis
from jobs.errors import StoreUnavailableError
from jobs.keys import Scope, create_key
from jobs.redis_errors import unavailable
from jobs.settings import JobsSettings
from jobs.snapshot import Entry, Snapshots
from jobs.state import IdempotencyKey, JobState, NewJob
from scripts.backup import BackupError, back_up, main, restore


@pytest.fixture
def settings(tmp_path, redis_url, monkeypatch):
    for name in JobsSettings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    return JobsSettings(data_dir=tmp_path / "data", redis_url=redis_url, lease_seconds=1)


@pytest.fixture
def fresh(tmp_path):
    """Another machine: a Redis and a directory with nothing in them."""
    with EmbeddedRedis(tmp_path / "redis") as server:
        yield JobsSettings(data_dir=tmp_path / "other", redis_url=server.url, lease_seconds=1)


def submit(settings, job_id, **more):
    return open_store(settings).submit(
        NewJob(id=job_id, queue="t2v-A14B", spec={"prompt": "a cät"}, tenant="acme", **more)
    )


@pytest.fixture
def filled(settings, tmp_path):
    """A job of each kind, a video, a key, a webhook."""
    store, artifacts = open_store(settings), open_artifacts(settings)
    submit(settings, "job_1")
    done = store.claim("t2v-A14B", "w1@h")
    assert done
    video = tmp_path / "video.mp4"
    video.write_bytes(b"moving pictures")
    artifacts.put("job_1/1.mp4", video)
    store.succeed(done.lease, {"video": "job_1/1.mp4"})
    submit(settings, "job_2", idempotency=IdempotencyKey(key="once", fingerprint="f", token="t"))
    assert store.claim("t2v-A14B", "w1@h")
    submit(settings, "job_3")
    create_key(open_keys(settings), name="app", tenant="acme", scopes=frozenset({Scope.READ}), now=1.0)
    open_webhooks(settings)
    return settings


def kept(settings):
    """Everything that Redis holds for us, but for the rest of its lifetime."""
    snapshots = Snapshots(settings.redis_address)
    _, entries = snapshots.read()
    snapshots.close()
    return {entry.key: entry.value for entry in entries}


def test_everything_is_lost_and_comes_back(filled, fresh, tmp_path):
    before, jobs = kept(filled), open_store(filled).get("job_1")
    back_up(filled, tmp_path / "backup", with_artifacts=True)
    shutil.rmtree(filled.data_dir)
    with Redis.from_url(filled.redis_address) as client:
        client.flushall()
    assert restore(fresh, tmp_path / "backup") == []
    assert kept(fresh) == before
    assert open_store(fresh).get("job_1") == jobs
    assert b"".join(open_artifacts(fresh).read("job_1/1.mp4")) == b"moving pictures"
    assert [key.name for key in open_keys(fresh).all()] == ["app"]


def test_jobs_that_ran_are_taken_up_again_and_complete(filled, fresh, tmp_path):
    back_up(filled, tmp_path / "backup", with_artifacts=True)
    restore(fresh, tmp_path / "backup")
    later = open_store(fresh).now() + 60
    store = open_store(fresh)
    with Redis.from_url(fresh.redis_address) as client:  # its lease ran out while everything was away
        client.zadd("wan:leases", {"job_2": (later - 3600) * 1000})
    assert [job.id for job in store.rescue()] == ["job_2"]
    for job_id in ("job_2", "job_3"):
        job = store.claim("t2v-A14B", "w2@h")
        assert job is not None
        assert job.id == job_id
        assert store.succeed(job.lease, {}).state is JobState.COMPLETED
    repeated = submit(fresh, "job_4", idempotency=IdempotencyKey(key="once", fingerprint="f", token="t"))
    assert repeated.id == "job_2"


def test_what_expires_still_does(filled, fresh, tmp_path):
    with Redis.from_url(filled.redis_address) as client:
        client.set("wan:passing", "x", pxat=4_000_000_000_000)
        client.set("wan:passed", "x", px=60_000)
    back_up(filled, tmp_path / "backup")
    records = tmp_path / "backup" / "records.jsonl"
    lines = [json.loads(line) for line in records.read_text().splitlines()]
    expiring = {line["key"]: line["expires_at"] for line in lines if line["expires_at"]}
    assert abs(expiring["wan:passing"] - 4_000_000_000_000) <= 1000
    snapshots = Snapshots(filled.redis_address)
    snapshots.clear()
    entries = [Entry.read(line) for line in lines if line["expires_at"]]
    written = snapshots.write([Entry(entry.key, entry.value, 1) for entry in entries])
    assert written == 0
    snapshots.write(entries)
    snapshots.close()
    with Redis.from_url(filled.redis_address) as client:
        assert 0 < client.pttl("wan:passed") <= 60_000


def test_records_that_are_there_are_not_replaced_unless_forced(filled, tmp_path):
    back_up(filled, tmp_path / "backup")
    before = kept(filled)
    submit(filled, "job_9")
    with Redis.from_url(filled.redis_address) as client:
        client.set("others", "stay")
    with pytest.raises(BackupError, match="--force"):
        restore(filled, tmp_path / "backup")
    restore(filled, tmp_path / "backup", force=True)
    assert kept(filled) == before
    with Redis.from_url(filled.redis_address) as client:
        assert client.get("others") == b"stay"


def test_nothing_is_restored_below_a_service_that_runs(filled, tmp_path):
    back_up(filled, tmp_path / "backup")
    open_store(filled).announce("w1@h", ["t2v-A14B"])
    before = kept(filled)
    with pytest.raises(BackupError, match=r"w1@h\. Stop the service first"):
        restore(filled, tmp_path / "backup", force=True)
    assert kept(filled).keys() == before.keys()


def test_artifacts_that_are_nowhere_are_named(filled, fresh, tmp_path):
    back_up(filled, tmp_path / "backup")
    assert restore(fresh, tmp_path / "backup") == ["job_1/1.mp4"]


@pytest.mark.parametrize("name", ["records.jsonl", "artifacts.jsonl", "artifacts/job_1/1.mp4", "backup.json"])
def test_a_damaged_backup_is_refused_before_any_record_is_touched(filled, fresh, tmp_path, name):
    back_up(filled, tmp_path / "backup", with_artifacts=True)
    path = tmp_path / "backup" / name
    path.write_bytes(b"x" + path.read_bytes()) if name != "backup.json" else path.unlink()
    with pytest.raises(BackupError):
        restore(fresh, tmp_path / "backup")
    assert kept(fresh) == {}


@pytest.mark.parametrize(
    "text", ['{"format": 1}', "[]", "none", '{"format": 1, "version": "1", "sha256": 1}']
)
def test_a_backup_whose_description_is_damaged_is_refused_in_a_sentence(fresh, tmp_path, text):
    (tmp_path / "backup.json").write_text(text)
    with pytest.raises(BackupError, match=r"backup\.json is damaged"):
        restore(fresh, tmp_path)


def test_the_jobs_can_be_read_and_the_configuration_has_no_secrets(filled, tmp_path, monkeypatch):
    monkeypatch.setenv("S3_BUCKET", "videos")
    monkeypatch.setenv("S3_ACCESS_KEY", "hush-1")
    monkeypatch.setenv("S3_SECRET_KEY", "hush-2")
    monkeypatch.setenv("TTS_API_KEY", "hush-3")
    monkeypatch.setenv("REDIS_URL", "redis://someone:hush-4@h/0?password=hush-5")
    about = back_up(filled, tmp_path / "backup")
    jobs = [json.loads(line) for line in (tmp_path / "backup" / "jobs.jsonl").read_text().splitlines()]
    assert [(job["id"], job["state"]) for job in jobs] == [
        ("job_3", "queued"),
        ("job_2", "in_progress"),
        ("job_1", "completed"),
    ]
    assert jobs[0]["spec"] == {"prompt": "a cät"}
    assert (about["jobs"], about["artifacts"]) == (3, 1)
    (artifact,) = (tmp_path / "backup" / "artifacts.jsonl").read_text().splitlines()
    assert json.loads(artifact)["size"] == len(b"moving pictures")
    settings_told = (tmp_path / "backup" / "settings.json").read_text()
    assert "hush" not in settings_told
    assert json.loads(settings_told)["LEASE_SECONDS"] == 1
    assert (tmp_path / "backup").stat().st_mode & 0o077 == 0


def test_artifacts_in_a_bucket_come_back_too(rclone_s3, filled, fresh, tmp_path, monkeypatch):
    old, new = rclone_s3.with_fresh_bucket(), rclone_s3.with_fresh_bucket()
    there = filled.model_copy(update=_bucket(old))
    open_artifacts(there).put("job_1/1.mp4", tmp_path / "video.mp4")
    back_up(there, tmp_path / "backup", with_artifacts=True)
    restore(fresh.model_copy(update=_bucket(new)), tmp_path / "backup")
    assert b"".join(new.store().read("job_1/1.mp4")) == b"moving pictures"


def _bucket(account):
    told = JobsSettings.model_validate({name.lower(): value for name, value in account.environment.items()})
    return {name: getattr(told, name) for name in JobsSettings.model_fields if name.startswith("s3_")}


def test_a_server_that_a_script_keeps_busy_counts_as_away(tmp_path):
    def tell() -> None:
        while True:
            with unavailable():
                client.ping()

    with EmbeddedRedis(tmp_path / "busy") as server, Redis.from_url(server.url) as client:
        client.config_set("lua-time-limit", 1)
        script = Thread(target=_run_endlessly, args=(server.url,))
        script.start()
        with pytest.raises(StoreUnavailableError, match="busy"):
            tell()
        client.script_kill()
        script.join()


def _run_endlessly(url):
    with Redis.from_url(url) as client, suppress(ResponseError):
        client.eval("while true do end", 0)


def test_both_commands_say_what_they_did(filled, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("REDIS_URL", filled.redis_address)
    monkeypatch.setenv("DATA_DIR", str(filled.data_dir))
    folder = str(tmp_path / "backup")
    main([folder])
    assert "3 jobs" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="not empty"):
        main([folder])
    with pytest.raises(SystemExit, match="--force"):
        main([folder, "--restore"])
    main([folder, "--restore", "--force"])
    assert "Start the service" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="holds no backup"):
        main([str(tmp_path / "nothing"), "--restore"])
