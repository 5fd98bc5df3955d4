"""What makes the OpenAPI description a guide: names, examples, and ways from one operation to the next."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from api.examples import ANSWERS, REQUESTS
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
_JOB_ID = "job_01arz3ndektsv4rrffq69g5fav"
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
_PARAMETERS: Mapping[str, Any] = {
    "job_id": _JOB_ID,
    "video_id": _JOB_ID,
    "filename": f"{_JOB_ID}.mp4",
    "batch_id": "batch_01arz3ndektsv4rrffq69g5fav_2",
    "step": 8,
    "model": "t2v-A14B",
    "webhook_id": "whe_01arz3ndektsv4rrffq69g5fav",
    "delivery_id": "whd_01arz3ndektsv4rrffq69g5fav",
}
"""Examples of what stands in addresses."""


def _to(operation: str, **parameters: str) -> dict[str, Any]:
    return {"operationId": operation, "parameters": parameters}


def _of_job(job_id: str) -> Mapping[str, dict[str, Any]]:
    """What can be done with a job, whose id stands there in the answer."""
    return {
        "status": _to("get_job", job_id=job_id),
        "events": _to("follow_job", job_id=job_id),
        "log": _to("get_job_log", job_id=job_id),
        "cancel": _to("cancel_job", job_id=job_id),
        "video": _to("get_video", filename=f"{{{job_id}}}.mp4"),
        "delete": _to("delete_video", filename=f"{{{job_id}}}.mp4"),
    }


_ID, _NEXT = "$response.body#/id", "$response.body#/next"
_WEBHOOK = {
    "webhook": _to("get_webhook", webhook_id=_ID),
    "test": _to("test_webhook", webhook_id=_ID),
    "deliveries": _to("list_deliveries", webhook_id=_ID),
    "rotate": _to("rotate_secret", webhook_id=_ID),
    "enable": _to("enable_webhook", webhook_id=_ID),
    "delete": _to("delete_webhook", webhook_id=_ID),
}
_SAME_WEBHOOK = {"webhook_id": "$request.path.webhook_id"}
_DELIVERY = {
    "delivery": _to("get_delivery", **_SAME_WEBHOOK, delivery_id=_ID),
    "replay": _to("replay_delivery", **_SAME_WEBHOOK, delivery_id=_ID),
}
_LINKS: Mapping[str, Mapping[str, dict[str, Any]]] = {
    "JobView": _of_job(_ID),
    "JobPage": {"next": _to("list_jobs", before=_NEXT)},
    "BatchView": {
        "status": _to("get_batch", batch_id=_ID),
        "cancel": _to("cancel_whole_batch", batch_id=_ID),
        "job": _to("get_job", job_id="$response.body#/jobs/0/id"),
    },
    "RouteView": {"job": _to("get_job", job_id="$response.body#/job/id")},
    "UploadView": {
        "use": {
            "operationId": "image_to_video",
            "requestBody": {"prompt": "The picture comes to life", "image_path": "$response.body#/asset"},
        }
    },
    "VideoPage": {
        "next": _to("list_videos", before=_NEXT),
        "video": _to("get_video", filename="$response.body#/videos/0/filename"),
    },
    "Video": {
        "video": _to("get_openai_video", video_id=_ID),
        "content": _to("get_openai_content", video_id=_ID),
        "remix": _to("remix_openai_video", video_id=_ID),
        "extension": {
            "operationId": "extend_openai_video",
            "requestBody": {"prompt": "It goes on", "video": {"id": _ID}},
        },
        "delete": _to("delete_openai_video", video_id=_ID),
        "job": _to("get_job", job_id=_ID),
    },
    "VideoList": {"next": _to("list_openai_videos", after="$response.body#/last_id")},
    "ModelPage": {"model": _to("get_openai_model", model="$response.body#/data/0/id")},
    "WebhookView": _WEBHOOK,
    "WebhookSecretView": _WEBHOOK,
    "WebhookList": {"webhook": _to("get_webhook", webhook_id="$response.body#/webhooks/0/id")},
    "DeliveryView": _DELIVERY,
    "DeliveryDetail": _DELIVERY,
    "DeliveryPage": {"next": _to("list_deliveries", **_SAME_WEBHOOK, before=_NEXT)},
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
        if method == "head":
            operation["description"] = "The headers that a GET is answered with."
        operation["summary"] = operation["description"].split(". ")[0].split("\n")[0].rstrip(".")
        for parameter in operation.get("parameters", ()):
            parameter["schema"] = without_null(parameter["schema"])
            if parameter["name"] in _PARAMETERS:
                parameter["example"] = _PARAMETERS[parameter["name"]]
        _say_what_is_answered(operation, description["components"]["schemas"])
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


def _say_what_is_answered(operation: dict[str, Any], schemas: Mapping[str, Any]) -> None:
    """In place of the framework's "Successful Response", which is no news."""
    for response in operation["responses"].values():
        answered = schemas.get(_referred(response.get("content", {}).get("application/json", {})))
        if answered and response["description"] == "Successful Response":
            response["description"] = answered["description"].split("\n")[0]


def _add_examples(operation: dict[str, Any]) -> None:
    """An example for every body that is no file, in either direction; forms have that of the same in JSON."""
    for media in operation.get("requestBody", {}).get("content", {}).values():
        _add_example(media, REQUESTS)
    for status, response in operation["responses"].items():
        if not status.startswith("5"):  # where health is as bad as examples are not
            for media in response.get("content", {}).values():
                _add_example(media, ANSWERS)


def _add_example(media: dict[str, Any], examples: Mapping[str, Any]) -> None:
    example = examples.get(_referred(media).removesuffix("Form"))
    if example:
        media["example"] = example


def _add_links(operation: dict[str, Any]) -> None:
    """From every answer that is one thing to what can be done with it."""
    own = operation["operationId"]
    for response in operation["responses"].values():
        links = _LINKS.get(_referred(response.get("content", {}).get("application/json", {})), {})
        others = {name: link for name, link in links.items() if name == "next" or link["operationId"] != own}
        if others:
            response["links"] = others


def _referred(media: dict[str, Any]) -> str:
    """The name of the schema that a body has."""
    return str(media.get("schema", {}).get("$ref", "")).rsplit("/", 1)[-1]
