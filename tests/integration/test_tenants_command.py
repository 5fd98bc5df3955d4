"""``python -m scripts.tenants`` as an operator runs it."""

import pytest

from jobs.connect import open_limits, open_store
from jobs.errors import TooManyJobsError
from jobs.limits import Limits
from jobs.settings import JobsSettings
from jobs.state import NewJob
from scripts import keys
from scripts.tenants import main

TENANTS = ("acme", "other")


def new_job(number, tenant):
    return NewJob(id=f"job_{number}", queue="q", tenant=tenant, spec={})


@pytest.fixture(autouse=True)
def settings(redis_url, monkeypatch) -> JobsSettings:
    """The shared server and nothing else."""
    for name in JobsSettings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("REDIS_URL", redis_url)
    return JobsSettings()


def test_limits_are_given_listed_and_taken_back(settings, capsys):
    keys.main(["create", "app", "--tenant", "bigcorp"])
    main(["set", "acme", "--requests-per-minute", "600", "--gpu-seconds-per-day", "3600.5", "--queued", "0"])
    assert open_limits(settings).of("acme") == Limits(
        requests_per_minute=600, gpu_seconds_per_day=3600.5, queued=0
    )
    new = new_job(1, "acme")
    with pytest.raises(TooManyJobsError):
        open_store(settings).submit(new)
    capsys.readouterr()
    main(["list"])
    _, acme, bigcorp = (line.split() for line in capsys.readouterr().out.splitlines())
    assert acme == ["acme", "600", "3600.5", "0", "none", "usual", "0"]
    assert bigcorp == ["bigcorp", *["usual"] * 5, "0"]
    main(["reset", "acme"])
    assert open_limits(settings).all() == {}
    open_store(settings).submit(new)


def test_limits_that_are_none_are_refused_in_a_sentence():
    with pytest.raises(SystemExit, match="requests_per_minute is at least 1"):
        main(["set", "acme", "--requests-per-minute", "0"])


def test_a_tenants_jobs_are_kept_as_long_as_is_said_until_that_is_taken_back(settings, capsys):
    main(["keep", "acme", "0.5"])
    store = open_store(settings)
    kept = [store.cancel(store.submit(new_job(number, tenant)).id) for number, tenant in enumerate(TENANTS)]
    days = [(job.expires_at or 0) - (job.finished_at or 0) for job in kept]
    assert days == [12 * 3600, settings.retention_seconds]
    main(["list"])
    assert capsys.readouterr().out.splitlines()[1].split() == ["acme", *["usual"] * 4, "0.5", "0"]
    main(["reset", "acme"])
    assert store.retentions() == {}


@pytest.mark.parametrize("days", ["0", "-1", "4000", "soon"])
def test_a_retention_that_is_none_is_refused(days, capsys):
    with pytest.raises(SystemExit):
        main(["keep", "acme", days])
    assert "days are a number" in capsys.readouterr().err
