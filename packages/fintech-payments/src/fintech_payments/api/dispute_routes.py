"""The routes of disputes, under their payment."""

from typing import Annotated, Final

from fastapi import APIRouter, Depends, Request
from fintech_kernel.domain.actors import Actor
from fintech_kernel.domain.operations import IdempotentCall
from fintech_kernel.web.answers import answer_response, json_response
from fintech_kernel.web.authentication import requires
from fintech_kernel.web.idempotency import idempotency
from fintech_kernel.web.schemas import id_path
from fintech_kernel.web.strict_json import StrictJsonRoute
from starlette.responses import Response

from fintech_payments.api.dispute_schemas import (
    CloseDisputeBody,
    DisputeShown,
    DisputesShown,
    OpenDisputeBody,
)
from fintech_payments.domain.dispute_service import Disputes
from fintech_payments.domain.service import Payments
from fintech_payments.domain.views import dispute_view

MANAGE: Final = "disputes:manage"
READ: Final = "disputes:read"

PaymentId = Annotated[str, id_path("pay")]
DisputeId = Annotated[str, id_path("dis")]
Call = Annotated[IdempotentCall, Depends(idempotency)]


def build_dispute_router(payments: Payments, disputes: Disputes) -> APIRouter:
    """Return the routes over the use cases of disputes."""
    router = APIRouter(route_class=StrictJsonRoute)

    @router.post(
        "/{payment_id}/disputes",
        summary="Open a dispute",
        status_code=201,
        response_model=DisputeShown,
    )
    async def open_dispute(
        request: Request,
        payment_id: PaymentId,
        body: OpenDisputeBody,
        actor: Annotated[Actor, Depends(requires(MANAGE))],
        call: Call,
    ) -> Response:
        """Hold back what a customer's bank disputes; without an amount, all that is left."""
        answer = await disputes.open(
            payment_id,
            body.amount.to_money() if body.amount else None,
            body.reason,
            merchant_id=await payments.merchant_of(actor, payment_id),
            actor=actor,
            call=call,
        )
        return answer_response(request, answer)

    @router.get(
        "/{payment_id}/disputes", summary="List a payment's disputes", response_model=DisputesShown
    )
    async def list_disputes(
        payment_id: PaymentId, actor: Annotated[Actor, Depends(requires(READ))]
    ) -> Response:
        """Return all disputes of a payment, oldest first."""
        merchant_id = await payments.merchant_of(actor, payment_id)
        payment = await payments.get(merchant_id, payment_id)
        return json_response({"data": [dispute_view(payment, one) for one in payment.disputes]})

    @router.get(
        "/{payment_id}/disputes/{dispute_id}", summary="Get a dispute", response_model=DisputeShown
    )
    async def get_dispute(
        payment_id: PaymentId,
        dispute_id: DisputeId,
        actor: Annotated[Actor, Depends(requires(READ))],
    ) -> Response:
        """Return one dispute of a payment."""
        merchant_id = await payments.merchant_of(actor, payment_id)
        return json_response(dispute_view(*await disputes.get(merchant_id, payment_id, dispute_id)))

    @router.post(
        "/{payment_id}/disputes/{dispute_id}/close",
        summary="Close a dispute",
        response_model=DisputeShown,
    )
    async def close_dispute(  # noqa: PLR0917 - what FastAPI passes
        request: Request,
        payment_id: PaymentId,
        dispute_id: DisputeId,
        body: CloseDisputeBody,
        actor: Annotated[Actor, Depends(requires(MANAGE))],
        call: Call,
    ) -> Response:
        """Give the merchant back what was held (``won``), or let the processor take it (``lost``)."""
        answer = await disputes.close(
            payment_id,
            dispute_id,
            body.status,
            body.reason,
            merchant_id=await payments.merchant_of(actor, payment_id),
            actor=actor,
            call=call,
        )
        return answer_response(request, answer)

    return router
