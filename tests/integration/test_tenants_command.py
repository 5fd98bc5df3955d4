"""``python -m scripts.tenants`` as an operator runs it."""

import pytest

from jobs.connect import open_limits, open_store
from jobs.errors import TooManyJobsError
from jobs.limits import Limits
from jobs.settings import JobsSettings
from jobs.state import NewJob
from scripts import keys
from scripts.tenants import main


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
    new = NewJob(id="job_1", queue="q", tenant="acme", spec={})
    with pytest.raises(TooManyJobsError):
        open_store(settings).submit(new)
    capsys.readouterr()
    main(["list"])
    _, acme, bigcorp = (line.split() for line in capsys.readouterr().out.splitlines())
    assert acme == ["acme", "600", "3600.5", "0", "none", "0"]
    assert bigcorp == ["bigcorp", *["usual"] * 4, "0"]
    main(["reset", "acme"])
    assert open_limits(settings).all() == {}
    open_store(settings).submit(new)


def test_limits_that_are_none_are_refused_in_a_sentence():
    with pytest.raises(SystemExit, match="requests_per_minute is at least 1"):
        main(["set", "acme", "--requests-per-minute", "0"])
