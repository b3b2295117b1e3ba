"""The routes of endpoints. They translate; what an endpoint may become is the model's business."""

from collections.abc import Callable
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Request
from fintech_kernel.domain.actors import Actor
from fintech_kernel.domain.operations import IdempotentCall
from fintech_kernel.hooks import Presented
from fintech_kernel.web.answers import answer_response, json_response, presented_response
from fintech_kernel.web.authentication import requires
from fintech_kernel.web.idempotency import idempotency
from fintech_kernel.web.pagination import Page, page, page_body
from fintech_kernel.web.schemas import ObjectIdPath
from fintech_kernel.web.strict_json import StrictJsonRoute
from starlette.responses import Response

from fintech_webhooks.api.schemas import (
    CreateWebhookEndpointBody,
    EventTypesShown,
    IssuedWebhookSecretShown,
    NothingBody,
    RotateWebhookSecretBody,
    UpdateWebhookEndpointBody,
    WebhookEndpointShown,
    WebhookEndpointsShown,
    present_issued,
    present_rotated,
    with_secret,
)
from fintech_webhooks.domain.model import EndpointStatus
from fintech_webhooks.domain.service import Issued, Webhooks

MANAGE: Final = "webhooks:manage"
READ: Final = "webhooks:read"

Call = Annotated[IdempotentCall, Depends(idempotency)]
Manager = Annotated[Actor, Depends(requires(MANAGE))]


def build_catalog_router(webhooks: Webhooks) -> APIRouter:
    """Return the route of the events that merchants are told of."""
    router = APIRouter(route_class=StrictJsonRoute)

    @router.get("/event-types", summary="List events", response_model=EventTypesShown)
    async def list_event_types(actor: Annotated[Actor, Depends(requires(READ))]) -> Response:
        """Return every event that endpoints can take, with the members of its data."""
        del actor
        return json_response(
            {
                "data": [
                    {"name": one.name, "summary": one.summary, "fields": list(one.fields)}
                    for one in webhooks.catalog.events
                ]
            }
        )

    return router


def build_router(webhooks: Webhooks) -> APIRouter:
    """Return the routes over the use cases of endpoints."""
    router = APIRouter(route_class=StrictJsonRoute)

    @router.post(
        "",
        summary="Make a webhook endpoint",
        status_code=201,
        response_model=IssuedWebhookSecretShown,
    )
    async def create_webhook_endpoint(
        request: Request,
        merchant_id: ObjectIdPath,
        body: CreateWebhookEndpointBody,
        actor: Manager,
        call: Call,
    ) -> Response:
        """Make an endpoint. The secret that signs is in this answer and in no other."""
        issued = await webhooks.create(
            merchant_id,
            url=body.url,
            events=body.events,
            description=body.description,
            actor=actor,
            call=call,
        )
        return _issued_response(request, issued, present_issued)

    @router.get("", summary="List webhook endpoints", response_model=WebhookEndpointsShown)
    async def list_webhook_endpoints(
        merchant_id: ObjectIdPath,
        actor: Annotated[Actor, Depends(requires(READ))],
        page: Annotated[Page, Depends(page)],
        status: EndpointStatus | None = None,
    ) -> Response:
        """Return a merchant's endpoints newest first, without their secrets."""
        before = str(page.after[0]) if page.after else None
        found = await webhooks.page(
            merchant_id, actor=actor, status=status, before=before, limit=page.limit
        )
        is_full = len(found) == page.limit
        cursor = page.next_cursor((found[-1]["endpoint_id"],)) if is_full else None
        return json_response(page_body(found, cursor))

    @router.get(
        "/{endpoint_id}", summary="Get a webhook endpoint", response_model=WebhookEndpointShown
    )
    async def get_webhook_endpoint(
        merchant_id: ObjectIdPath,
        endpoint_id: ObjectIdPath,
        actor: Annotated[Actor, Depends(requires(READ))],
    ) -> Response:
        """Return an endpoint as events and attempts go by it now."""
        return json_response(await webhooks.get(merchant_id, endpoint_id, actor=actor))

    @router.patch(
        "/{endpoint_id}", summary="Change a webhook endpoint", response_model=WebhookEndpointShown
    )
    async def update_webhook_endpoint(
        request: Request,
        merchant_id: ObjectIdPath,
        endpoint_id: ObjectIdPath,
        *,
        body: UpdateWebhookEndpointBody,
        actor: Manager,
        call: Call,
    ) -> Response:
        """Change what is sent. A new URL counts for the next attempt of whatever waits, too."""
        answer = await webhooks.update(
            merchant_id,
            endpoint_id,
            url=body.url,
            events=body.events,
            description=body.description,
            actor=actor,
            call=call,
        )
        return answer_response(request, answer)

    @router.post(
        "/{endpoint_id}/rotate-secret",
        summary="Rotate a webhook endpoint's secret",
        response_model=IssuedWebhookSecretShown,
    )
    async def rotate_webhook_secret(
        request: Request,
        merchant_id: ObjectIdPath,
        endpoint_id: ObjectIdPath,
        *,
        body: RotateWebhookSecretBody,
        actor: Manager,
        call: Call,
    ) -> Response:
        """Sign with a new secret, and for a while with the old one beside it.

        The new secret is in this answer and in no other. A rotation within an overlap ends the older of
        the two secrets at once.
        """
        issued = await webhooks.rotate_secret(
            merchant_id, endpoint_id, overlap_seconds=body.overlap_seconds, actor=actor, call=call
        )
        return _issued_response(request, issued, present_rotated)

    _add_status_routes(router, webhooks)
    return router


def _add_status_routes(router: APIRouter, webhooks: Webhooks) -> None:
    @router.post(
        "/{endpoint_id}/enable",
        summary="Enable a webhook endpoint",
        response_model=WebhookEndpointShown,
    )
    async def enable_webhook_endpoint(
        request: Request,
        merchant_id: ObjectIdPath,
        endpoint_id: ObjectIdPath,
        *,
        body: NothingBody,
        actor: Manager,
        call: Call,
    ) -> Response:
        """Send to an endpoint again. What it missed is sent by `redeliver`, on request."""
        del body
        answer = await webhooks.enable(merchant_id, endpoint_id, actor=actor, call=call)
        return answer_response(request, answer)

    @router.post(
        "/{endpoint_id}/disable",
        summary="Disable a webhook endpoint",
        response_model=WebhookEndpointShown,
    )
    async def disable_webhook_endpoint(
        request: Request,
        merchant_id: ObjectIdPath,
        endpoint_id: ObjectIdPath,
        *,
        body: NothingBody,
        actor: Manager,
        call: Call,
    ) -> Response:
        """Send nothing to an endpoint until it is enabled; what comes meanwhile is noted as skipped."""
        del body
        answer = await webhooks.disable(merchant_id, endpoint_id, actor=actor, call=call)
        return answer_response(request, answer)

    @router.post(
        "/{endpoint_id}/remove",
        summary="Remove a webhook endpoint",
        response_model=WebhookEndpointShown,
    )
    async def remove_webhook_endpoint(
        request: Request,
        merchant_id: ObjectIdPath,
        endpoint_id: ObjectIdPath,
        *,
        body: NothingBody,
        actor: Manager,
        call: Call,
    ) -> Response:
        """Give an endpoint up, for ever. Its deliveries can still be read."""
        del body
        answer = await webhooks.remove(merchant_id, endpoint_id, actor=actor, call=call)
        return answer_response(request, answer)


def _issued_response(
    request: Request, issued: Issued, present: Callable[[dict[str, Any]], Presented]
) -> Response:
    """Return the answer, with the secret where this very request's stands."""
    if issued.secret is None:
        return answer_response(request, issued.answer)
    presented = with_secret(present(dict(issued.answer.result)), issued.secret)
    return presented_response(presented, replayed=issued.answer.replayed)
