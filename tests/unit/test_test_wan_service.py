"""What the check of a service says of one that is another, away, or lacks a model."""

from typing import Any

import httpx
import pytest

from scripts import test_wan_service
from tests.page_server import answering


@pytest.mark.parametrize("test", ["health", "models", "route", "t2v"])
def test_another_programs_page_fails_every_check_in_a_sentence(test, capsys):
    with answering("<html>") as port:
        assert test_wan_service.main(["--test", test, "--url", f"http://127.0.0.1:{port}"]) == 1
    row = capsys.readouterr().out.splitlines()[1]
    assert row.split()[:2] == ["FAIL", test]


def test_a_service_that_is_away_fails(capsys):
    assert test_wan_service.main(["--test", "health", "--url", "http://127.0.0.1:1"]) == 1
    assert "refused" in capsys.readouterr().out


def test_while_a_job_is_waited_for_its_stages_are_told(monkeypatch, capsys):
    def job(status: str, stage: str | None = None) -> dict[str, Any]:
        return {"id": "job_1", "status": status, "stage": stage, "progress": 0}

    monkeypatch.setattr(test_wan_service, "_POLL_SECONDS", 0)
    left = iter([job("in_progress", "denoising"), job("in_progress", "denoising"), job("completed")])
    transport = httpx.MockTransport(lambda _: httpx.Response(200, json=next(left)))
    with httpx.Client(base_url="http://service", transport=transport) as client:
        test_wan_service._finished(client, job("queued"))
    assert [line.split() for line in capsys.readouterr().err.splitlines()] == [
        ["job_1", "is", "queued"],
        ["job_1", "is", "denoising"],
    ]


def test_all_with_a_model_makes_its_kind_of_video_alone(monkeypatch):
    chosen: list[str] = []

    def noted(named: list[str], *_: object, **__: object) -> int:
        chosen.extend(named)
        return 0

    monkeypatch.setattr(test_wan_service, "run", noted)
    assert test_wan_service.main(["--test", "all", "--model", "ti2v-5B"]) == 0
    assert chosen == ["health", "models", "route", "ti2v"]


@pytest.mark.parametrize("test", ["all", "t2v"])
def test_a_model_that_is_misspelt_is_refused_with_those_there_are(test, capsys):
    with pytest.raises(SystemExit) as refused:
        test_wan_service.main(["--test", test, "--model", "nope", "--url", "http://127.0.0.1:1"])
    assert refused.value.code == 2
    assert "nope" in (said := capsys.readouterr().err)
    assert "t2v-A14B" in said
