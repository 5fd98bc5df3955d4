"""What the check of a service says of one that is another, away, or lacks a model."""

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


def test_all_with_a_model_makes_its_kind_of_video_alone(monkeypatch):
    chosen: list[str] = []

    def noted(named: list[str], *_: object, **__: object) -> int:
        chosen.extend(named)
        return 0

    monkeypatch.setattr(test_wan_service, "run", noted)
    assert test_wan_service.main(["--test", "all", "--model", "ti2v-5B"]) == 0
    assert chosen == ["health", "models", "route", "ti2v"]
