"""The OpenAPI description: valid, named, with examples that hold and links that lead somewhere."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate
from openapi_spec_validator.validation.exceptions import OpenAPIValidationError
from pydantic import TypeAdapter

from api.app import create_app, open_parts
from api.batches import Batch
from api.description import without_null
from api.examples import ANSWERS, REQUESTS
from api.openai.fields import CreateVideo, Remix
from api.openapi import BODIES
from api.schemas import PresignRequest
from api.settings import GatewaySettings
from api.webhooks import NewWebhook
from routing.query import RouteQuery


@pytest.fixture(scope="module")
def description(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    settings = GatewaySettings(data_dir=tmp_path_factory.mktemp("data"))
    return create_app(open_parts(settings)).openapi()


@pytest.fixture(scope="module")
def operations(description) -> list[tuple[str, dict[str, Any]]]:
    return [(path, one) for path, methods in description["paths"].items() for one in methods.values()]


def test_it_is_valid(description):
    validate(description)
    with pytest.raises(OpenAPIValidationError):
        validate(description | {"info": {}})


def test_every_operation_has_a_short_name_of_its_own(operations):
    names = [operation["operationId"] for _, operation in operations]
    assert len(names) == len(set(names))
    assert {"text_to_video", "get_job", "get_video", "head_video"} <= set(names)
    assert not [name for name in names if "__" in name]


def test_every_operation_is_described_under_a_tag_that_is(description, operations):
    tags = [tag["name"] for tag in description["tags"]]
    for path, operation in operations:
        assert operation["description"], path
        assert operation["tags"][0] in tags, path


def test_every_answer_says_what_it_is(operations):
    for path, operation in operations:
        for status, response in operation["responses"].items():
            told = response["description"]
            assert told != "Successful Response" or status == "204", path


def test_every_operation_has_a_summary_in_one_sentence(operations):
    for path, operation in operations:
        summary = operation["summary"]
        assert operation["description"].startswith(summary), path
        assert len(summary) < 110, path
        assert not summary.endswith("."), path


def bodies(operations) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every body that a schema with a name describes, sent or answered; none of a service that is ill."""
    for path, operation in operations:
        answers = [one for status, one in operation["responses"].items() if not status.startswith("5")]
        for one in (operation.get("requestBody", {}), *answers):
            for kind, media in one.get("content", {}).items():
                if "$ref" in media["schema"]:
                    yield f"{path} {kind}", media


def test_every_body_has_an_example_that_its_schema_allows(description, operations):
    found = list(bodies(operations))
    assert len(found) > 90
    for where, media in found:
        assert "example" in media, where
        Draft202012Validator({**description, **media["schema"]}).validate(media["example"])


@pytest.mark.parametrize("name", sorted(ANSWERS))
def test_an_example_of_an_answer_is_whole(description, name):
    schema = description["components"]["schemas"][name]
    assert list(ANSWERS[name]) == list(schema["properties"])


@pytest.mark.parametrize("kind", [*BODIES, Batch, NewWebhook, PresignRequest, RouteQuery, CreateVideo, Remix])
def test_an_example_of_a_request_is_taken(kind):
    assert TypeAdapter(kind).validate_python(REQUESTS[kind.__name__])


def test_every_parameter_in_an_address_has_an_example(operations):
    for path, operation in operations:
        for parameter in operation.get("parameters", ()):
            assert parameter["in"] != "path" or "example" in parameter or "examples" in parameter, path


def test_links_lead_to_operations_and_parameters_that_there_are(operations):
    ids = {operation["operationId"]: operation for _, operation in operations}
    linked = set()
    for path, operation in operations:
        for response in operation["responses"].values():
            for link in response.get("links", {}).values():
                target = ids[link["operationId"]]
                named = {parameter["name"] for parameter in target.get("parameters", ())}
                assert link.get("parameters", {}).keys() <= named, path
                assert ("requestBody" in link) <= ("requestBody" in target), path
                linked.add(link["operationId"])
    begin = {name for name, operation in ids.items() if not _in_path(operation)}
    assert set(ids) - begin - linked == {"head_video", "get_preview"}  # which only an event can tell of


def _in_path(operation: dict[str, Any]) -> list[dict[str, Any]]:
    return [one for one in operation.get("parameters", ()) if one["in"] == "path"]


def test_links_lead_from_a_job_to_all_that_can_be_done_with_it(operations):
    ids = {operation["operationId"]: operation for _, operation in operations}
    submitted = ids["text_to_video"]["responses"]["202"]["links"]
    assert list(submitted) == ["status", "events", "log", "cancel", "video", "delete"]
    assert "status" not in ids["get_job"]["responses"]["200"]["links"]


def test_every_page_leads_to_the_next(operations):
    ids = {operation["operationId"]: operation for _, operation in operations}
    for name in ("list_jobs", "list_videos", "list_openai_videos", "list_deliveries"):
        assert ids[name]["responses"]["200"]["links"]["next"]["operationId"] == name


def test_only_what_is_open_to_all_takes_no_key(description, operations):
    assert description["security"] == [{"key": []}, {}]
    free = [path for path, operation in operations if operation.get("security") == []]
    assert free == ["/health/live", "/health/ready"]


def test_no_parameter_and_no_form_field_can_be_null(description, operations):
    schemas = [one["schema"] for _, operation in operations for one in operation.get("parameters", ())]
    for name, schema in description["components"]["schemas"].items():
        if name.endswith("Form"):
            schemas += schema["properties"].values()
    assert schemas
    assert not [schema for schema in schemas if {"type": "null"} in schema.get("anyOf", ())]


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"type": "string"}, {"type": "string"}),
        (
            {"anyOf": [{"type": "integer", "minimum": 1}, {"type": "null"}], "title": "T", "default": None},
            {"type": "integer", "minimum": 1, "title": "T"},
        ),
        (
            {"anyOf": [{"type": "integer"}, {"type": "array"}, {"type": "null"}]},
            {"anyOf": [{"type": "integer"}, {"type": "array"}]},
        ),
    ],
)
def test_null_is_taken_out_of_a_schema(schema, expected):
    assert without_null(schema) == expected
