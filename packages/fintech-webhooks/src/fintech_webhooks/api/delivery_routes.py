"""The routes of deliveries: the log, test messages, and making deliveries again."""

from typing import Annotated, Final

from fastapi import APIRouter, Depends, Query, Request
from fintech_kernel.clock import milliseconds_of
from fintech_kernel.domain.actors import Actor
from fintech_kernel.domain.operations import IdempotentCall
from fintech_kernel.identifiers import OBJECT_ID
from fintech_kernel.web.answers import answer_response, json_response
from fintech_kernel.web.authentication import requires
from fintech_kernel.web.idempotency import idempotency
from fintech_kernel.web.pagination import Page, page, page_body
from fintech_kernel.web.schemas import ObjectIdPath
from fintech_kernel.web.strict_json import StrictJsonRoute
from starlette.responses import Response

from fintech_webhooks.api.delivery_schemas import (
    DeliveriesShown,
    FullDeliveryShown,
    RedeliverBody,
    RedeliveredShown,
    SentPingShown,
)
from fintech_webhooks.api.routes import READ
from fintech_webhooks.api.schemas import NothingBody
from fintech_webhooks.domain.delivery_log import DeliveryLog
from fintech_webhooks.domain.messages import DeliveryState
from fintech_webhooks.domain.service import Webhooks

SEND: Final = "webhooks:send"

Call = Annotated[IdempotentCall, Depends(idempotency)]
Sender = Annotated[Actor, Depends(requires(SEND))]


def build_sending_router(webhooks: Webhooks) -> APIRouter:
    """Return the routes below an endpoint that send something."""
    router = APIRouter(route_class=StrictJsonRoute)

    @router.post(
        "/{endpoint_id}/ping",
        summary="Send a test message",
        status_code=201,
        response_model=SentPingShown,
    )
    async def ping_webhook_endpoint(
        request: Request,
        merchant_id: ObjectIdPath,
        endpoint_id: ObjectIdPath,
        *,
        body: NothingBody,
        actor: Sender,
        call: Call,
    ) -> Response:
        """Send a `webhook.ping`, once, also to an endpoint that is disabled."""
        del body
        answer = await webhooks.ping(merchant_id, endpoint_id, actor=actor, call=call)
        return answer_response(request, answer)

    @router.post(
        "/{endpoint_id}/redeliver",
        summary="Make deliveries since a time again",
        status_code=201,
        response_model=RedeliveredShown,
    )
    async def redeliver_since(
        request: Request,
        merchant_id: ObjectIdPath,
        endpoint_id: ObjectIdPath,
        *,
        body: RedeliverBody,
        actor: Sender,
        call: Call,
    ) -> Response:
        """Make deliveries of events since a time again, each message once, oldest first."""
        answer = await webhooks.redeliver_since(
            merchant_id,
            endpoint_id,
            since=milliseconds_of(body.since),
            state=body.state(),
            actor=actor,
            call=call,
        )
        return answer_response(request, answer)

    return router


def build_log_router(log: DeliveryLog, webhooks: Webhooks) -> APIRouter:
    """Return the routes of the delivery log."""
    router = APIRouter(route_class=StrictJsonRoute)

    @router.get("", summary="List deliveries", response_model=DeliveriesShown)
    async def list_webhook_deliveries(
        merchant_id: ObjectIdPath,
        actor: Annotated[Actor, Depends(requires(READ))],
        page: Annotated[Page, Depends(page)],
        endpoint_id: Annotated[str | None, Query(pattern=f"^{OBJECT_ID.pattern}$")] = None,
        status: DeliveryState | None = None,
    ) -> Response:
        """Return a merchant's deliveries by the time of their events, newest first."""
        before = str(page.after[0]) if page.after else None
        found = await log.page(
            merchant_id,
            actor=actor,
            endpoint_id=endpoint_id,
            state=status,
            before=before,
            limit=page.limit,
        )
        is_full = len(found) == page.limit
        cursor = page.next_cursor((str(found[-1]["delivery_id"]),)) if is_full else None
        return json_response(page_body(found, cursor))

    @router.get("/{delivery_id}", summary="Get a delivery", response_model=FullDeliveryShown)
    async def get_webhook_delivery(
        merchant_id: ObjectIdPath,
        delivery_id: ObjectIdPath,
        actor: Annotated[Actor, Depends(requires(READ))],
    ) -> Response:
        """Return a delivery with what is sent, and every attempt."""
        return json_response(await log.get(merchant_id, delivery_id, actor=actor))

    @router.post(
        "/{delivery_id}/redeliver",
        summary="Make a delivery again",
        status_code=201,
        response_model=RedeliveredShown,
    )
    async def redeliver_one(
        request: Request,
        merchant_id: ObjectIdPath,
        delivery_id: ObjectIdPath,
        *,
        body: NothingBody,
        actor: Sender,
        call: Call,
    ) -> Response:
        """Make a delivery that has ended again, with the same message and `webhook-id`."""
        del body
        answer = await webhooks.redeliver(merchant_id, delivery_id, actor=actor, call=call)
        return answer_response(request, answer)

    return router
