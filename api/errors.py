"""Every error answer: RFC 9457 problem details. The only place that knows which error has which status.

Each carries two members that clients of other dialects look for: ``error`` is what OpenAI-style
clients read, ``error_type`` what fal's do; ``title``, ``status`` and ``detail`` suit Replicate's.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from http import HTTPStatus
from typing import Any, NamedTuple

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError, WebSocketRequestValidationError
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, HTTPConnection
from starlette.responses import Response
from starlette.routing import Match
from starlette.types import Receive, Scope, Send

from api import refusals
from api.body import BODY, SEND_OBJECT
from api.limiter import rate_headers
from api.outages import Outages
from api.ranges import UnsatisfiableRangeError
from api.schemas import FieldError, Problem, SdkError
from jobs import errors as jobs
from routing import neighbours
from wan_models import errors as models
from wan_models.stills import StillError

MEDIA_TYPE = "application/problem+json"
RETRY_SECONDS = 5
BUSY_SECONDS = 30
_MOST_FIELD_ERRORS = 20
_LONGEST_NAME = 64


class Kind(NamedTuple):
    """What the errors of one class have in common: ``field`` is what is at fault, if always the same."""

    status: HTTPStatus
    code: str
    title: str
    field: str | None = None
    headers: Mapping[str, str] = {}


_S = HTTPStatus
_LATER = {"retry-after": str(RETRY_SECONDS)}
_INVALID = Kind(_S.UNPROCESSABLE_ENTITY, "invalid_request", "The request is not valid")
_UNEXPECTED = Kind(_S.INTERNAL_SERVER_ERROR, "internal_error", "Something broke on our side")
_KINDS: dict[type[Exception], Kind] = {
    ClientDisconnect: Kind(_S.BAD_REQUEST, "client_disconnected", "The client hung up"),
    refusals.KeyRequiredError: Kind(_S.UNAUTHORIZED, "key_required", "The request has no API key"),
    refusals.InvalidKeyError: Kind(_S.UNAUTHORIZED, "invalid_api_key", "The API key is not valid"),
    refusals.ScopeMissingError: Kind(_S.FORBIDDEN, "scope_missing", "The API key does not allow this"),
    refusals.TooManyRequestsError: Kind(_S.TOO_MANY_REQUESTS, "too_many_requests", "Too many requests"),
    refusals.UnknownHostError: Kind(_S.FORBIDDEN, "unknown_host", "The request came by a foreign name"),
    refusals.MalformedRequestError: Kind(_S.BAD_REQUEST, "malformed_request", "The request cannot be read"),
    refusals.MalformedJsonError: Kind(_S.BAD_REQUEST, "malformed_json", "The body cannot be read"),
    refusals.UnsupportedMediaTypeError: Kind(
        _S.UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", "The body's type is not taken here"
    ),
    refusals.CompressedBodyError: Kind(
        _S.UNSUPPORTED_MEDIA_TYPE,
        "unsupported_encoding",
        "The body's encoding is not taken here",
        headers={"accept-encoding": "identity"},
    ),
    refusals.MalformedFormError: Kind(_S.BAD_REQUEST, "malformed_form", "The body cannot be read"),
    refusals.PresignUnavailableError: Kind(
        _S.UNPROCESSABLE_ENTITY, "presign_unavailable", "There are no direct uploads here"
    ),
    refusals.HeadTooSlowError: Kind(_S.REQUEST_TIMEOUT, "head_too_slow", "The request took too long"),
    refusals.BodyTooSlowError: Kind(
        _S.REQUEST_TIMEOUT,
        "body_too_slow",
        "The body took too long",
        headers={"connection": "close"},  # the rest of the body stays unread
    ),
    refusals.BodyTooLargeError: Kind(
        _S.REQUEST_ENTITY_TOO_LARGE,
        "body_too_large",
        "The body is too large",
        headers={"connection": "close"},
    ),
    RequestValidationError: _INVALID,
    WebSocketRequestValidationError: _INVALID,
    ValidationError: _INVALID,
    models.InvalidRequestError: _INVALID,
    refusals.RepeatedParameterError: _INVALID,
    models.UnknownModelError: Kind(_S.UNPROCESSABLE_ENTITY, "unknown_task", "There is no such task", "task"),
    # Not 409, which clients take for something that passes by itself and repeat.
    models.ModelNotInstalledError: Kind(
        _S.UNPROCESSABLE_ENTITY, "model_not_installed", "The model is not installed", "task"
    ),
    models.PipelineUnavailableError: Kind(
        _S.UNPROCESSABLE_ENTITY, "task_unavailable", "This version cannot run the task", "task"
    ),
    jobs.JobNotFoundError: Kind(_S.NOT_FOUND, "job_not_found", "There is no such job"),
    jobs.QueueFullError: Kind(
        _S.TOO_MANY_REQUESTS, "queue_full", "The queue is full", headers={"retry-after": str(BUSY_SECONDS)}
    ),
    jobs.WaitTooLongError: Kind(
        _S.TOO_MANY_REQUESTS,
        "wait_too_long",
        "The wait would be too long",
        "expires_in",
        headers={"retry-after": str(BUSY_SECONDS)},
    ),
    jobs.GpuTimeSpentError: Kind(_S.TOO_MANY_REQUESTS, "gpu_time_spent", "The GPU time of today is used up"),
    refusals.ModelNotFoundError: Kind(_S.NOT_FOUND, "model_not_found", "There is no such model"),
    refusals.NotOfferedError: Kind(_S.NOT_FOUND, "not_offered", "The models here cannot do this"),
    refusals.BatchNotFoundError: Kind(_S.NOT_FOUND, "batch_not_found", "There is no such batch"),
    refusals.VideoNotFoundError: Kind(_S.NOT_FOUND, "video_not_found", "There is no such video"),
    jobs.ArtifactNotFoundError: Kind(_S.NOT_FOUND, "video_not_found", "There is no such video"),
    refusals.PreviewNotFoundError: Kind(_S.NOT_FOUND, "preview_not_found", "There is no such picture"),
    StillError: Kind(_S.NOT_FOUND, "no_picture", "There is no picture of the video"),
    refusals.VideoNotReadyError: Kind(_S.NOT_FOUND, "video_not_ready", "The job has no video"),
    jobs.InvalidTransitionError: Kind(_S.CONFLICT, "job_ended", "The job has already ended"),
    jobs.KeyReservedError: Kind(
        _S.CONFLICT,
        "idempotency_key_in_use",
        "The request is still being answered",
        "Idempotency-Key",
        headers=_LATER,
    ),
    jobs.KeyUsedError: Kind(
        _S.UNPROCESSABLE_ENTITY,
        "idempotency_key_used",
        "The key was used for another request",
        "Idempotency-Key",
    ),
    jobs.TooManyJobsError: Kind(
        _S.TOO_MANY_REQUESTS, "too_many_jobs", "You have too many jobs queued", headers=_LATER
    ),
    refusals.JobActiveError: Kind(_S.CONFLICT, "job_active", "The job has not ended"),
    refusals.PreconditionFailedError: Kind(
        _S.PRECONDITION_FAILED, "precondition_failed", "The video is not the expected one"
    ),
    jobs.WebhookNotFoundError: Kind(
        _S.NOT_FOUND, "webhook_not_found", "There is no such webhook or delivery"
    ),
    jobs.WebhookDisabledError: Kind(_S.CONFLICT, "webhook_disabled", "The webhook is disabled"),
    jobs.TooManyWebhooksError: Kind(
        _S.UNPROCESSABLE_ENTITY, "too_many_webhooks", "There are enough webhooks"
    ),
    refusals.ForeignOriginError: Kind(_S.FORBIDDEN, "foreign_origin", "Pages of other sites may not do this"),
    UnsatisfiableRangeError: Kind(
        _S.REQUESTED_RANGE_NOT_SATISFIABLE, "range_not_satisfiable", "The video has no such bytes", "Range"
    ),
    jobs.StoreUnavailableError: Kind(
        _S.SERVICE_UNAVAILABLE, "store_unavailable", "The job store does not answer", headers=_LATER
    ),
    jobs.ArtifactStoreUnavailableError: Kind(
        _S.SERVICE_UNAVAILABLE,
        "artifacts_unavailable",
        "The artifact store does not answer",
        headers=_LATER,
    ),
    jobs.DiskFullError: Kind(
        _S.INSUFFICIENT_STORAGE,
        "disk_full",
        "There is no room for files",
        headers={"retry-after": str(BUSY_SECONDS), "connection": "close"},  # the body may be unread
    ),
    refusals.UnroutableError: Kind(
        _S.SERVICE_UNAVAILABLE, "no_model", "Nothing here can do what the query asks for", headers=_LATER
    ),
    neighbours.NeighbourDownError: Kind(
        _S.SERVICE_UNAVAILABLE, "neighbour_unavailable", "The service does not answer", headers=_LATER
    ),
    refusals.NeighbourRefusedError: Kind(
        _S.UNPROCESSABLE_ENTITY, "neighbour_refused", "The service refused the request"
    ),
    refusals.NeighbourFailedError: Kind(_S.BAD_GATEWAY, "neighbour_failed", "The service failed"),
    Exception: _UNEXPECTED,
}
_FRAMEWORK = {
    _S.NOT_FOUND: "Nothing is served at this address.",
    _S.METHOD_NOT_ALLOWED: "This address does not take this method; Allow lists those that it takes.",
}
_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
_SENTENCES = {  # for pydantic's own, which speak of Python
    "extra_forbidden": "There is no such field.",
    "missing": "This field is required.",
    "model_type": SEND_OBJECT,
    "dict_type": SEND_OBJECT,
    "tuple_type": "Send a list.",
    "too_short": "It has too few items.",
    "too_long": "It has too many items.",
}


def answer_errors(app: FastAPI) -> None:
    """Make the app answer every error with a problem, its framework's errors included."""
    app.router.default = _nothing_here
    app.add_exception_handler(HTTPException, _answer)
    for error in _KINDS:
        app.add_exception_handler(error, _answer)


async def _nothing_here(_scope: Scope, _receive: Receive, _send: Send) -> None:
    """In place of the framework's, which hangs up on a WebSocket without a word."""
    raise HTTPException(_S.NOT_FOUND)


async def _answer(connection: HTTPConnection, error: Exception) -> Response:
    """The answer to a request, or the denial of a WebSocket: the framework sends it as what is due."""
    return problem_response(connection, error)


def problem_response(connection: HTTPConnection, error: Exception) -> Response:
    """The problem that an error is to a client."""
    kind = _kind(error)
    faults = _faults(error, kind)
    detail = _detail(connection, error, kind, faults)
    problem = Problem(
        type=f"urn:wanserve:problem:{kind.code}",
        title=kind.title,
        status=kind.status,
        detail=detail,
        errors=faults,
        error=SdkError(
            message=detail,
            type="server_error" if kind.status >= _S.INTERNAL_SERVER_ERROR else "invalid_request_error",
            param=faults[0].field if faults else None,
            code=kind.code,
        ),
        error_type=kind.code,
    )
    content = json.dumps(problem.model_dump(mode="json") | _extension(error), ensure_ascii=False)
    return Response(content, kind.status, _headers(connection, error, kind), media_type=MEDIA_TYPE)


def _extension(error: Exception) -> dict[str, Any]:
    """Members that only some problems have."""
    if isinstance(error, refusals.UnroutableError):
        return {"route": error.route.model_dump(mode="json")}
    return {}


def _kind(error: Exception) -> Kind:
    if isinstance(error, HTTPException):
        status = HTTPStatus(error.status_code)
        return Kind(status, status.phrase.lower().replace(" ", "_"), status.phrase)
    return next(_KINDS[cls] for cls in type(error).__mro__ if cls in _KINDS)


def _detail(connection: HTTPConnection, error: Exception, kind: Kind, faults: Sequence[FieldError]) -> str:
    if kind is _UNEXPECTED:  # its own words are for the log, not for strangers
        return "The request could not be answered. The service's log says why."
    if isinstance(error, HTTPException):
        if connection.scope["type"] == "websocket":
            return "No WebSocket is served at this address; /ws/jobs/{job_id} is one."
        return _FRAMEWORK.get(kind.status, str(error.detail))
    if isinstance(error, (jobs.StoreUnavailableError, jobs.ArtifactStoreUnavailableError)):
        outages: Outages = connection.app.state.parts.outages
        for_jobs = isinstance(error, jobs.StoreUnavailableError)
        # It names addresses: for the log, not for strangers.
        (outages.job_store if for_jobs else outages.artifact_store).meet(error)
        return f"{kind.title}. Try again in a few seconds; the service's log says what is wrong."
    if kind is _INVALID:
        return " ".join(
            f"{fault.field}: {fault.message}" if fault.field else fault.message for fault in faults
        )
    return str(error)


def _faults(error: Exception, kind: Kind) -> list[FieldError]:
    match error:
        case models.InvalidRequestError() | refusals.RepeatedParameterError():
            return [FieldError(field=error.field, message=error.message)]
        case ValidationError():
            return _from_pydantic(error.errors(include_url=False, include_context=False, include_input=False))
        case RequestValidationError() | WebSocketRequestValidationError():
            return _from_pydantic([{**fault, "loc": fault["loc"][1:]} for fault in error.errors()])
        case _:
            return [FieldError(field=kind.field, message=str(error))] if kind.field else []


def _from_pydantic(faults: Sequence[Any]) -> list[FieldError]:
    """One entry a field and sentence, of the first item where several have the same fault.

    A list is not too short because of items that are no good: pydantic counts the others alone.
    """
    with_items = {fault["loc"][0] for fault in faults if len(fault["loc"]) > 1}
    found: dict[tuple[str, str], str] = {}
    for fault in faults:
        if fault["type"] != "too_short" or fault["loc"][0] not in with_items:
            field = str(fault["loc"][0])[:_LONGEST_NAME] if fault["loc"] else BODY
            found.setdefault((field, _sentence(fault)), _item(fault["loc"]))
    told = sorted((field, f"{item}{sentence}") for (field, sentence), item in found.items())
    return [FieldError(field=field, message=message) for field, message in told[:_MOST_FIELD_ERRORS]]


def _sentence(fault: dict[str, Any]) -> str:
    known = _SENTENCES.get(fault["type"])
    return known or f"{fault['msg'].removeprefix('Value error, ').rstrip('.')}."


def _item(place: Sequence[Any]) -> str:
    """Which item of a list is at fault, in front of what is wrong with it."""
    return f"Item {place[1] + 1}: " if len(place) > 1 and isinstance(place[1], int) else ""


def _headers(connection: HTTPConnection, error: Exception, kind: Kind) -> dict[str, str]:
    return {**kind.headers, **_own_headers(connection, error)}


def _own_headers(connection: HTTPConnection, error: Exception) -> dict[str, str]:
    """What only this one error has to tell."""
    match error:
        case HTTPException():
            return _framework_headers(connection, error)
        case UnsatisfiableRangeError():
            return {"content-range": f"bytes */{error.size}"}
        case refusals.UnsupportedMediaTypeError():
            return {"accept": ", ".join(error.accepted)}
        case refusals.KeyRequiredError() | refusals.InvalidKeyError() | refusals.ScopeMissingError():
            return {"www-authenticate": ", ".join(['Bearer realm="wanserve"', *_challenge(error)])}
        case jobs.GpuTimeSpentError() | refusals.TooManyRequestsError():
            return _limit_headers(error)
    return {}


def _limit_headers(error: jobs.GpuTimeSpentError | refusals.TooManyRequestsError) -> dict[str, str]:
    if isinstance(error, jobs.GpuTimeSpentError):
        return {"retry-after": str(error.retry_seconds)}
    return {"retry-after": str(error.allowance.retry_seconds), **rate_headers(error.allowance)}


def _framework_headers(connection: HTTPConnection, error: HTTPException) -> dict[str, str]:
    if error.status_code == _S.METHOD_NOT_ALLOWED:
        return {"allow": ", ".join(_allowed(connection))}
    return dict(error.headers or {})


def _challenge(error: Exception) -> list[str]:
    """What a key was refused for, in the words of RFC 6750, section 3."""
    match error:
        case refusals.InvalidKeyError():
            return ['error="invalid_token"']
        case refusals.ScopeMissingError():
            return ['error="insufficient_scope"', f'scope="{error.scope}"']
    return []


def _allowed(connection: HTTPConnection) -> Iterator[str]:
    """Every method that the address takes. The router knows only those of the first route that fits.

    An address of its own, such as ``/v1/videos/extensions``, is no example of one with a name in it.
    """
    path, routes = connection.scope["path"], connection.app.routes
    fitting = [route for route in routes if getattr(route, "path", None) == path] or routes
    for method in _METHODS:
        asked = {**connection.scope, "method": method}
        if any(route.matches(asked)[0] is Match.FULL for route in fitting):
            yield method
