"""Registering webhook endpoints, and looking after what is delivered to them."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel, Field
from ulid import ULID

from api.answer import answer
from api.body import read_json
from api.openapi import PROBLEMS
from api.parts import parts_of
from api.principal import principal_of
from api.query import StrictRoute
from api.webhook_views import (
    DeliveryDetail,
    DeliveryPage,
    DeliveryView,
    WebhookList,
    WebhookSecretView,
    WebhookView,
    delivery_detail,
    delivery_view,
    webhook_secret_view,
    webhook_view,
)
from api.webhooks import (
    DELIVERY_PATTERN,
    NewWebhook,
    Webhooks,
    check_delivery_id,
    check_webhook_id,
    new_webhook_id,
    states_of,
)
from jobs.errors import WebhookDisabledError
from jobs.webhook_message import envelope, new_delivery
from jobs.webhook_store import DEFAULT
from jobs.webhooks import Delivery, Endpoint
from wan_models.errors import InvalidRequestError

router = APIRouter(prefix="/webhooks", tags=["webhooks"], responses=PROBLEMS, route_class=StrictRoute)

TEST = "webhook.test"
_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/NewWebhook"}}},
    }
}
WebhookId = Annotated[
    str,
    Path(description="Of an endpoint, or `default`: the one that signs where requests name the URL."),
]


class DeliveryQuery(BaseModel, extra="forbid"):
    """Which page of deliveries: ``before`` is the ``next`` of the page in front of it."""

    limit: Annotated[int, Field(ge=1, le=100)] = 20
    before: Annotated[str | None, Field(pattern=DELIVERY_PATTERN)] = None


@router.post("", status_code=201, response_model=WebhookSecretView, openapi_extra=_BODY)
async def create_webhook(request: Request) -> Response:
    """Register an endpoint that is told of all your jobs. Its secret is shown this once."""
    (webhooks, tenant), patience = _own(request), parts_of(request).intake.patience
    body = NewWebhook.model_validate(await read_json(request, patience))
    webhooks.vet("url", body.url)
    new = (new_webhook_id(), tenant, body.url, states_of(body.events), body.description)
    endpoint = await run_in_threadpool(webhooks.store.register, *new)
    return answer(webhook_secret_view(endpoint), status=201, headers={"location": f"/webhooks/{endpoint.id}"})


@router.get("", response_model=WebhookList)
def list_webhooks(request: Request) -> Response:
    """The registered endpoints, oldest first."""
    webhooks, tenant = _own(request)
    return answer(WebhookList(webhooks=list(map(webhook_view, webhooks.store.endpoints(tenant)))))


@router.get("/{webhook_id}", response_model=WebhookView)
def get_webhook(webhook_id: WebhookId, request: Request) -> Response:
    """One endpoint: whether it is enabled, and since when it fails if it does."""
    return answer(webhook_view(_endpoint(webhook_id, request)))


@router.delete("/{webhook_id}", status_code=204)
def delete_webhook(webhook_id: WebhookId, request: Request) -> Response:
    """Forget an endpoint; what waits for it is not delivered any more."""
    webhooks, tenant = _own(request)
    webhooks.store.unregister(_registered(webhook_id, request).id, tenant)
    return Response(status_code=204)


@router.post("/{webhook_id}/rotate", response_model=WebhookSecretView)
def rotate_secret(webhook_id: WebhookId, request: Request) -> Response:
    """Get a new secret, shown this once. For a day messages are signed with the old one as well."""
    webhooks, tenant = _own(request)
    return answer(webhook_secret_view(webhooks.store.rotate(check_webhook_id(webhook_id), tenant)))


@router.post("/{webhook_id}/enable", response_model=WebhookView)
def enable_webhook(webhook_id: WebhookId, request: Request) -> Response:
    """Let a disabled endpoint be told again, of what happens from now on."""
    webhooks, tenant = _own(request)
    return answer(webhook_view(webhooks.store.enable(_registered(webhook_id, request).id, tenant)))


@router.post("/{webhook_id}/test", status_code=202, response_model=DeliveryView)
def test_webhook(webhook_id: WebhookId, request: Request) -> Response:
    """Send a `webhook.test` message, once; the delivery tells what came of it."""
    webhooks, tenant = _own(request)
    endpoint = _registered(webhook_id, request)
    if endpoint.disabled_at is not None:
        raise WebhookDisabledError(endpoint.id)
    event_id = f"evt_{ULID()}".lower()
    body = envelope(event_id, TEST, webhooks.store.now(), {"id": endpoint.id, "object": "webhook"})
    told = {"event_id": event_id, "type": TEST, "body": body, "persistent": False}
    delivery = webhooks.store.begin(new_delivery(tenant, endpoint.id, endpoint.url, **told))
    return _begun(delivery)


@router.get("/{webhook_id}/deliveries", response_model=DeliveryPage)
def list_deliveries(
    webhook_id: WebhookId, query: Annotated[DeliveryQuery, Query()], request: Request
) -> Response:
    """What was sent to an endpoint in the last days, newest first."""
    webhooks, tenant = _own(request)
    page = (check_webhook_id(webhook_id), tenant, query.limit + 1, query.before)
    found = webhooks.store.deliveries(*page)
    shown = found[: query.limit]
    following = shown[-1].id if len(found) > len(shown) else None
    return answer(DeliveryPage(deliveries=list(map(delivery_view, shown)), next=following))


@router.get("/{webhook_id}/deliveries/{delivery_id}", response_model=DeliveryDetail)
def get_delivery(webhook_id: WebhookId, delivery_id: str, request: Request) -> Response:
    """One delivery: what is sent, and how its attempts went."""
    delivery = _delivery(webhook_id, delivery_id, request)
    return answer(delivery_detail(delivery, parts_of(request).webhooks.store.attempts(delivery.id)))


@router.post("/{webhook_id}/deliveries/{delivery_id}/replay", status_code=202, response_model=DeliveryView)
def replay_delivery(webhook_id: WebhookId, delivery_id: str, request: Request) -> Response:
    """Send a message again, with the id it had."""
    webhooks, tenant = _own(request)
    return _begun(webhooks.store.replay(_delivery(webhook_id, delivery_id, request).id, tenant))


def _own(request: Request) -> tuple[Webhooks, str]:
    """The webhooks, and the tenant whose they must be."""
    return parts_of(request).webhooks, principal_of(request).tenant


def _endpoint(webhook_id: str, request: Request) -> Endpoint:
    webhooks, tenant = _own(request)
    return webhooks.store.endpoint(check_webhook_id(webhook_id), tenant)


def _registered(webhook_id: str, request: Request) -> Endpoint:
    if webhook_id == DEFAULT:
        raise InvalidRequestError("webhook_id", "The default webhook has no URL of its own; register one.")
    return _endpoint(webhook_id, request)


def _delivery(webhook_id: str, delivery_id: str, request: Request) -> Delivery:
    webhooks, tenant = _own(request)
    return webhooks.store.delivery(check_delivery_id(delivery_id), check_webhook_id(webhook_id), tenant)


def _begun(delivery: Delivery) -> Response:
    view = delivery_view(delivery)
    location = f"/webhooks/{view.webhook_id}/deliveries/{view.id}"
    return answer(view, status=202, headers={"location": location})
