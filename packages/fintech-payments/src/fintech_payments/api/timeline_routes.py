"""The route of a payment's timeline."""

from typing import Annotated

from fastapi import APIRouter, Depends
from fintech_kernel.domain.actors import Actor
from fintech_kernel.web.answers import json_response
from fintech_kernel.web.authentication import requires
from fintech_kernel.web.strict_json import StrictJsonRoute
from starlette.responses import Response

from fintech_payments.api.routes import READ, PaymentId
from fintech_payments.api.timeline_schemas import TimelineShown
from fintech_payments.domain.service import Payments
from fintech_payments.domain.timeline import Timeline


def build_timeline_router(payments: Payments, timeline: Timeline) -> APIRouter:
    """Return the route over timelines."""
    router = APIRouter(route_class=StrictJsonRoute)

    @router.get(
        "/{payment_id}/timeline", summary="A payment's timeline", response_model=TimelineShown
    )
    async def get_timeline(
        payment_id: PaymentId, actor: Annotated[Actor, Depends(requires(READ))]
    ) -> Response:
        """Return every entry, processor call, transfer and delivery, and what happens next and when."""
        merchant_id = await payments.merchant_of(actor, payment_id)
        return json_response(await timeline.of(merchant_id, payment_id))

    return router
