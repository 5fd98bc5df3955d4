"""What makes the OpenAPI description a guide: names, examples, and ways from one operation to the next."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from api.gate import OPEN

KEY = "key"
ABOUT = """
Ask for a video with one of the operations under **generate**: the answer is a **job**. Ask how it is doing
(`GET /jobs/{job_id}`), or be told as it happens (`GET /jobs/{job_id}/events`), until its `status` is one of
`completed`, `failed`, `cancelled` and `expired`. A completed job has its video at `video_path`.

Requests take an API key (`Authorization: Bearer wk_...`), unless the service has none and serves its own
machine alone.
Every error is a problem document (RFC 9457). Every answer has an `X-Request-Id`.
"""
_TAGS = {
    "generate": "Asking for videos.",
    "batches": "Asking for many videos at once.",
    "inputs": "Sending files ahead of the jobs that use them.",
    "jobs": "How jobs are doing, and stopping them.",
    "events": "Hearing of jobs as things happen to them.",
    "videos": "Finished videos.",
    "openai": "The same jobs in the dialect of OpenAI's video API.",
    "route": "From a query in plain words to what fulfils it.",
    "webhooks": "Having your own server told of jobs.",
    "service": "What the service offers, and how it is.",
}
_CAT = {"prompt": "A cat playing in a garden", "size": "1280*720", "frame_num": 17, "base_seed": 42}
_EXAMPLES: Mapping[str, dict[str, Any]] = {
    "TextToVideo": {"task": "t2v-A14B", **_CAT},
    "ImageToVideo": {"task": "i2v-A14B", **_CAT, "image_path": "https://example.com/cat.jpg"},
    "TextImageToVideo": {"task": "ti2v-5B", "prompt": _CAT["prompt"], "base_seed": 42},
    "SpeechToVideo": {
        "task": "s2v-14B",
        "prompt": "A person speaking naturally",
        "image_path": "https://example.com/portrait.jpg",
        "audio_path": "https://example.com/speech.wav",
    },
    "Batch": {"request": {"task": "t2v-A14B", "size": "1280*720"}, "prompts": ["A cat"], "seeds": [1, 2]},
    "Animation": {
        "task": "animate-14B",
        "prompt": "A character that dances",
        "src_root_path": "https://example.com/performance.zip",
    },
}
_JOB = "$response.body#/id"
_JOB_LINKS: Mapping[str, dict[str, Any]] = {
    "status": {"operationId": "get_job", "parameters": {"job_id": _JOB}},
    "events": {"operationId": "follow_job", "parameters": {"job_id": _JOB}},
    "log": {"operationId": "get_job_log", "parameters": {"job_id": _JOB}},
    "cancel": {"operationId": "cancel_job", "parameters": {"job_id": _JOB}},
    "video": {"operationId": "get_video", "parameters": {"filename": f"{{{_JOB}}}.mp4"}},
    "delete": {"operationId": "delete_video", "parameters": {"filename": f"{{{_JOB}}}.mp4"}},
}
_WEBHOOK = {"webhook_id": "$response.body#/id"}
_WEBHOOK_LINKS: Mapping[str, dict[str, Any]] = {
    "webhook": {"operationId": "get_webhook", "parameters": _WEBHOOK},
    "test": {"operationId": "test_webhook", "parameters": _WEBHOOK},
    "deliveries": {"operationId": "list_deliveries", "parameters": _WEBHOOK},
    "rotate": {"operationId": "rotate_secret", "parameters": _WEBHOOK},
    "enable": {"operationId": "enable_webhook", "parameters": _WEBHOOK},
    "delete": {"operationId": "delete_webhook", "parameters": _WEBHOOK},
}
_DELIVERY = {"webhook_id": "$request.path.webhook_id", "delivery_id": "$response.body#/id"}
_DELIVERY_LINKS: Mapping[str, dict[str, Any]] = {
    "delivery": {"operationId": "get_delivery", "parameters": _DELIVERY},
    "replay": {"operationId": "replay_delivery", "parameters": _DELIVERY},
}
_LINKS = {
    "JobView": _JOB_LINKS,
    "WebhookView": _WEBHOOK_LINKS,
    "WebhookSecretView": _WEBHOOK_LINKS,
    "DeliveryView": _DELIVERY_LINKS,
    "DeliveryDetail": _DELIVERY_LINKS,
}


def enrich(description: dict[str, Any]) -> dict[str, Any]:
    """Complete a description in place, and return it."""
    description["info"]["description"] = ABOUT.strip()
    used = {tag for _, _, operation in _operations(description) for tag in operation.get("tags", ())}
    description["tags"] = [{"name": tag, "description": about} for tag, about in _TAGS.items() if tag in used]
    description["components"]["securitySchemes"] = {
        KEY: {"type": "http", "scheme": "bearer", "bearerFormat": "wk_<id>_<secret>"}
    }
    description["security"] = [{KEY: []}, {}]  # a service without keys takes none
    for method, path, operation in _operations(description):
        operation["operationId"] = _name(method, path, operation["operationId"])
        if path in OPEN:
            operation["security"] = []
        for parameter in operation.get("parameters", ()):
            parameter["schema"] = without_null(parameter["schema"])
        _add_examples(operation)
        _add_links(operation)
    return description


def without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema of a field that is left out rather than null: parameters and forms cannot say null."""
    options = [option for option in schema.get("anyOf", ()) if option != {"type": "null"}]
    if not options:
        return schema
    rest = {name: value for name, value in schema.items() if name not in ("anyOf", "default")}
    return {**rest, **options[0]} if len(options) == 1 else {**rest, "anyOf": options}


def _operations(description: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in description["paths"].items():
        for method, operation in methods.items():
            yield method, path, operation


def _name(method: str, path: str, generated: str) -> str:
    """The name of the function alone: FastAPI appends the path and the method to it."""
    name = generated.removesuffix(f"_{method}").removesuffix(re.sub(r"\W", "_", path))
    return name.replace("get_", "head_", 1) if method == "head" else name


def _add_examples(operation: dict[str, Any]) -> None:
    body = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
    example = _EXAMPLES.get(_referred(body))
    if example:
        body["example"] = example


def _add_links(operation: dict[str, Any]) -> None:
    """From every answer that is one thing to what can be done with it."""
    own = operation["operationId"]
    for response in operation["responses"].values():
        links = _LINKS.get(_referred(response.get("content", {}).get("application/json", {})), {})
        others = {name: link for name, link in links.items() if link["operationId"] != own}
        if others:
            response["links"] = others


def _referred(media: dict[str, Any]) -> str:
    """The name of the schema that a body has."""
    return str(media.get("schema", {}).get("$ref", "")).rsplit("/", 1)[-1]
