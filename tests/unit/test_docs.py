"""The documentation says what the code does: settings, states, commands."""

import re
from pathlib import Path

import pytest
from pydantic import BaseModel
from pydantic_settings import BaseSettings

from api.app import create_app, open_parts
from api.schemas import JobLogLine, JobLogView, JobView, PresignedUpload, RouteView, UploadView
from api.settings import GatewaySettings
from jobs.state import TRANSITIONS, JobState
from routing.classifier import load_classifier
from routing.query import RouteQuery
from routing.settings import FrontSettings, NeighbourSettings
from scripts.cli.__main__ import main
from scripts.router.examples import read_examples
from scripts.router.measure import confusion_table, language_table, measure
from telemetry.settings import LogSettings
from wan_models.bodies import (
    Animation,
    ImageToVideo,
    SpeechToVideo,
    TextImageToVideo,
    TextToVideo,
    VideoBody,
)
from workers.settings import WorkerSettings

ROOT = Path(__file__).parent.parent.parent
DOCS = ROOT / "docs"


def text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def shown(value: object) -> str:
    if value is None:
        return "unset"
    return str(int(value) if isinstance(value, float) and value.is_integer() else value)


def test_the_state_diagram_draws_exactly_the_transitions():
    arrows = re.findall(r"^    (\S+) --> (\S+): (\w+)$", text("docs/state_machine.md"), flags=re.MULTILINE)
    drawn = {(verb, None if source == "[*]" else source, target) for source, target, verb in arrows}
    assert drawn == {(t.verb, t.source, t.target) for t in TRANSITIONS}


def test_the_state_diagram_ends_exactly_at_the_final_states():
    ends = re.findall(r"^    (\w+) --> \[\*\]$", text("docs/state_machine.md"), flags=re.MULTILINE)
    assert sorted(ends) == sorted(state for state in JobState if state.is_final)


def test_the_state_page_explains_exactly_the_verbs():
    explained = re.findall(r"^\| `(\w+)` \|", text("docs/state_machine.md"), flags=re.MULTILINE)
    assert sorted(explained) == sorted({t.verb for t in TRANSITIONS})


@pytest.mark.parametrize(("kind", "reader"), [(GatewaySettings, "gateway"), (WorkerSettings, "worker")])
def test_every_setting_is_documented_with_its_default_and_its_readers(kind: type[BaseSettings], reader):
    rows = dict(re.findall(r"^\| `(\w+)` \| (.*) \|$", text("docs/settings.md"), flags=re.MULTILINE))
    for name, field in kind.model_fields.items():
        default, readers, meaning = rows[name.upper()].split(" | ")
        assert default == f"`{shown(field.default)}`", name
        assert reader in readers, name
        assert meaning == field.description, name


def test_no_setting_is_documented_that_does_not_exist():
    rows = re.findall(r"^\| `(\w+)` \|", text("docs/settings.md"), flags=re.MULTILINE)
    known = {name.upper() for kind in (GatewaySettings, WorkerSettings) for name in kind.model_fields}
    assert sorted(rows) == sorted(known)


def test_every_make_target_that_the_documents_name_exists_and_helps():
    targets = set(re.findall(r"^([a-z-]+):.*##", text("Makefile"), flags=re.MULTILINE))
    documents = [ROOT / "README.md", *DOCS.rglob("*.md")]
    named = {
        name
        for file in documents
        for name in re.findall(r"(?:^|`| )make ([a-z-]+)(?:`|$|  )", file.read_text(), re.MULTILINE)
    }
    assert named
    assert named <= targets


def test_every_command_that_the_documents_name_exists():
    documents = [ROOT / "README.md", *DOCS.rglob("*.md")]
    named = {
        name
        for file in documents
        for name in re.findall(r"(?:^ {4}|`)wanserve ([a-z]+)\b", file.read_text(), re.MULTILINE)
    }
    assert named
    assert named <= set(main.commands)


def test_every_link_between_the_documents_leads_somewhere():
    for file in [ROOT / "README.md", ROOT / "CHANGELOG.md", *DOCS.rglob("*.md")]:
        for link in re.findall(r"\]\((?!https?://|#)([^)#]+)", file.read_text()):
            assert (file.parent / link).exists(), f"{file.name}: {link}"


def test_the_api_page_has_exactly_the_endpoints_of_the_gateway(tmp_path):
    documented = set(re.findall(r"^### `([A-Z]+ \S+)`$", text("docs/api.md"), flags=re.MULTILINE))
    described = create_app(open_parts(GatewaySettings(data_dir=tmp_path))).openapi()["paths"]
    served = {f"{method.upper()} {path}" for path, methods in described.items() for method in methods}
    assert documented == served


def listed_fields() -> list[list[str]]:
    tables = re.findall(r"\| field \| meaning \|\n\|---\|---\|\n((?:\|.*\n)+)", text("docs/api.md"))
    return [re.findall(r"^\| `(\w+)` \|", table, flags=re.MULTILINE) for table in tables]


@pytest.mark.parametrize(
    "model",
    [JobView, JobLogView, JobLogLine, TextToVideo, UploadView, PresignedUpload, RouteQuery, RouteView],
)
def test_the_api_page_lists_exactly_the_fields(model: type[BaseModel]):
    assert list(model.model_fields) in listed_fields()


@pytest.mark.parametrize("body", [ImageToVideo, TextImageToVideo, SpeechToVideo, Animation])
def test_the_api_page_lists_exactly_what_a_body_has_beside_the_common_fields(body: type[VideoBody]):
    own = [name for name in body.model_fields if name not in VideoBody.model_fields]
    assert own in listed_fields()


@pytest.mark.parametrize("split", ["test", "fresh"])
def test_the_routing_page_has_the_confusion_and_the_accuracy_of_each_split(split):
    page, measured = text("docs/routing.md"), measure(read_examples(split), load_classifier())
    assert f"**`{split}`**: {measured.accuracy:.1%} of {len(measured.answers)} queries" in page
    assert "\n".join(confusion_table(measured)) in page
    assert "\n".join(language_table(measured)) in page


def test_the_routing_page_lists_exactly_the_settings_of_the_router_that_stands_by_itself():
    rows = re.findall(r"^\| `([A-Z_]+)` \| (\S+) \| (.*) \|$", text("docs/routing.md"), flags=re.MULTILINE)
    own = {
        name: field
        for name, field in FrontSettings.model_fields.items()
        if name not in {**NeighbourSettings.model_fields, **LogSettings.model_fields}
    }
    assert rows == [
        (name.upper(), "required" if field.is_required() else f"`{shown(field.default)}`", field.description)
        for name, field in own.items()
    ]
