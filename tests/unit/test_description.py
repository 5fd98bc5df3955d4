"""The OpenAPI description: valid, named, with examples that hold and links that lead somewhere."""

from __future__ import annotations

from typing import Any

import pytest
from openapi_spec_validator import validate
from pydantic import TypeAdapter

from api.app import create_app, open_parts
from api.description import without_null
from api.openapi import BODIES
from api.settings import GatewaySettings


@pytest.fixture(scope="module")
def description(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    settings = GatewaySettings(data_dir=tmp_path_factory.mktemp("data"))
    return create_app(open_parts(settings)).openapi()


@pytest.fixture(scope="module")
def operations(description) -> list[tuple[str, dict[str, Any]]]:
    return [(path, one) for path, methods in description["paths"].items() for one in methods.values()]


def test_it_is_valid(description):
    validate(description)


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


def test_links_lead_from_a_job_to_all_that_can_be_done_with_it(operations):
    ids = {operation["operationId"]: operation for _, operation in operations}
    submitted = ids["text_to_video"]["responses"]["202"]["links"]
    assert list(submitted) == ["status", "events", "log", "cancel", "video", "delete"]
    for link in submitted.values():
        named = {parameter["name"] for parameter in ids[link["operationId"]]["parameters"]}
        assert link["parameters"].keys() <= named
    assert "status" not in ids["get_job"]["responses"]["200"]["links"]


@pytest.mark.parametrize("kind", BODIES)
def test_every_generate_operation_has_an_example_that_is_taken(operations, kind):
    reference = f"#/components/schemas/{kind.__name__}"
    bodies = [
        operation["requestBody"]["content"]["application/json"]
        for path, operation in operations
        if path.startswith("/generate/")
    ]
    (example,) = [body["example"] for body in bodies if body["schema"]["$ref"] == reference]
    assert TypeAdapter(kind).validate_python(example)


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
