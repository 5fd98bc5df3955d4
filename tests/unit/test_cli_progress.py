"""What the command line shows of a job while it is watched."""

import pytest

from scripts.cli import progress
from scripts.cli.api_client import ApiClient

JOB = {"id": "job_1", "queue_position": 2, "progress": 40, "eta_seconds": 61}


@pytest.mark.parametrize(
    ("status", "stage", "description", "total"),
    [
        ("queued", None, "queued, number 2", 100),
        ("in_progress", "loading", "loading", None),
        ("in_progress", "denoising", "denoising", 100),
        ("in_progress", "decoding", "decoding", None),
        ("completed", None, "completed", 100),
    ],
)
def test_the_bar_measures_denoising_and_otherwise_moves_beside_the_stage(status, stage, description, total):
    shown = progress._shown(JOB | {"status": status, "stage": stage})
    assert (shown["description"], shown["total"], shown["percent"]) == (description, total, 40)


def test_whoever_stops_watching_is_told_that_the_job_goes_on(monkeypatch, capsys):
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    api = ApiClient("http://service", None)
    monkeypatch.setattr(api, "follow", interrupted)
    with pytest.raises(KeyboardInterrupt):
        progress.show_until_final(api, JOB | {"status": "queued", "stage": None})
    assert "wanserve watch job_1, or wanserve cancel job_1" in capsys.readouterr().err
