"""The routes of payments. They translate; what a payment may do is the model's business."""

from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Depends, Query, Request
from fintech_kernel.clock import milliseconds_of
from fintech_kernel.domain.actors import Actor
from fintech_kernel.domain.operations import IdempotentCall
from fintech_kernel.errors import NotFound
from fintech_kernel.money import Money
from fintech_kernel.web.answers import answer_response, json_response
from fintech_kernel.web.authentication import read_beside, requires
from fintech_kernel.web.idempotency import idempotency
from fintech_kernel.web.pagination import Page, page, page_body
from fintech_kernel.web.schemas import (
    MetadataFilter,
    Reference,
    Timestamp,
    id_path,
    metadata_pair,
)
from fintech_kernel.web.strict_json import StrictJsonRoute
from starlette.responses import Response

from fintech_payments.api.schemas import (
    CancelPaymentBody,
    CapturePaymentBody,
    CreatePaymentBody,
    PaymentShown,
    PaymentsShown,
    RefundPaymentBody,
    RefundShown,
    RefundsShown,
)
from fintech_payments.domain.model import PaymentStatus
from fintech_payments.domain.service import NewPayment, Payments
from fintech_payments.domain.views import payment_view, refund_view
from fintech_payments.infrastructure.queries import PaymentFilter

CREATE: Final = "payments:create"
READ: Final = "payments:read"
CAPTURE: Final = "payments:capture"
CANCEL: Final = "payments:cancel"
REFUND: Final = "payments:refund"

PaymentId = Annotated[str, id_path("pay")]
RefundId = Annotated[str, id_path("ref")]
CurrencyQuery = Annotated[str | None, Query(pattern="^[A-Z]{3}$", examples=["KES"])]
ReferenceQuery = Annotated[Reference | None, Query()]
OutcomeQuery = Annotated[Literal["known", "open"] | None, Query()]
CreatedQuery = Annotated[Timestamp | None, Query()]
Call = Annotated[IdempotentCall, Depends(idempotency)]

PAYMENT_OPEN: Final[dict[int | str, dict[str, Any]]] = {
    202: {"model": PaymentShown, "description": "What became of it at the processor is open."}
}
REFUND_OPEN: Final[dict[int | str, dict[str, Any]]] = {
    202: {"model": RefundShown, "description": "What became of it at the processor is open."}
}


def build_router(payments: Payments) -> APIRouter:
    """Return the routes over the use cases of payments."""
    router = APIRouter(route_class=StrictJsonRoute)

    @router.post(
        "",
        summary="Take a payment",
        status_code=201,
        response_model=PaymentShown,
        responses=PAYMENT_OPEN,
    )
    async def create_payment(
        request: Request,
        body: CreatePaymentBody,
        actor: Annotated[Actor, Depends(requires(CREATE, beside=payments.profile))],
        call: Call,
    ) -> Response:
        """Authorize a payment, and capture it at once unless ``capture`` is ``manual``.

        Answers 202 while the processor's answer is not known; the payment is ``pending`` then.
        """
        merchant_id = actor.merchant_for(body.merchant_id)
        answer = await payments.create(
            NewPayment(
                amount=Money(amount=body.amount, currency=body.currency),
                capture=body.capture,
                method=body.payment_method.type,
                token=body.payment_method.token,
                reference=body.reference or "",
                metadata=body.metadata,
            ),
            merchant_id=merchant_id,
            actor=actor,
            call=call,
            profile=read_beside(request, merchant_id),
        )
        return answer_response(request, answer)

    @router.get("", summary="List payments", response_model=PaymentsShown)
    async def list_payments(
        actor: Annotated[Actor, Depends(requires(READ))],
        where: Annotated[PaymentFilter, Depends(payment_filter)],
        page: Annotated[Page, Depends(page)],
    ) -> Response:
        """Return payments newest first, narrowed by the given conditions."""
        before = str(page.after[0]) if page.after else None
        found = await payments.page(
            merchant_id=None if actor.is_platform else actor.merchant_id,
            where=where,
            before=before,
            limit=page.limit,
        )
        is_full = len(found) == page.limit
        cursor = page.next_cursor((found[-1]["payment_id"],)) if is_full else None
        return json_response(page_body(found, cursor))

    @router.get("/{payment_id}", summary="Get a payment", response_model=PaymentShown)
    async def get_payment(
        payment_id: PaymentId, actor: Annotated[Actor, Depends(requires(READ))]
    ) -> Response:
        """Return a payment as its journal tells it."""
        merchant_id = await payments.merchant_of(actor, payment_id)
        return json_response(payment_view(await payments.get(merchant_id, payment_id)))

    @router.post(
        "/{payment_id}/capture",
        summary="Capture",
        response_model=PaymentShown,
        responses=PAYMENT_OPEN,
    )
    async def capture_payment(
        request: Request,
        payment_id: PaymentId,
        body: CapturePaymentBody,
        actor: Annotated[Actor, Depends(requires(CAPTURE))],
        call: Call,
    ) -> Response:
        """Take some of what is authorized; without an amount, all that is left."""
        answer = await payments.capture(
            payment_id,
            body.amount.to_money() if body.amount else None,
            merchant_id=await payments.merchant_of(actor, payment_id),
            actor=actor,
            call=call,
        )
        return answer_response(request, answer)

    @router.post(
        "/{payment_id}/cancel",
        summary="Cancel",
        response_model=PaymentShown,
        responses=PAYMENT_OPEN,
    )
    async def cancel_payment(
        request: Request,
        payment_id: PaymentId,
        body: CancelPaymentBody,
        actor: Annotated[Actor, Depends(requires(CANCEL))],
        call: Call,
    ) -> Response:
        """Give up an authorization of which nothing was captured."""
        del body  # it is empty, and refused when it is not
        answer = await payments.cancel(
            payment_id,
            merchant_id=await payments.merchant_of(actor, payment_id),
            actor=actor,
            call=call,
        )
        return answer_response(request, answer)

    @router.post(
        "/{payment_id}/refunds",
        summary="Refund",
        status_code=201,
        response_model=RefundShown,
        responses=REFUND_OPEN,
    )
    async def create_refund(
        request: Request,
        payment_id: PaymentId,
        body: RefundPaymentBody,
        actor: Annotated[Actor, Depends(requires(REFUND))],
        call: Call,
    ) -> Response:
        """Give back some of what was captured; without an amount, all that is left."""
        answer = await payments.refund(
            payment_id,
            body.amount.to_money() if body.amount else None,
            body.reason,
            merchant_id=await payments.merchant_of(actor, payment_id),
            actor=actor,
            call=call,
        )
        return answer_response(request, answer)

    @router.get(
        "/{payment_id}/refunds", summary="List a payment's refunds", response_model=RefundsShown
    )
    async def list_refunds(
        payment_id: PaymentId, actor: Annotated[Actor, Depends(requires(READ))]
    ) -> Response:
        """Return all refunds of a payment, oldest first."""
        merchant_id = await payments.merchant_of(actor, payment_id)
        payment = await payments.get(merchant_id, payment_id)
        return json_response({"data": [refund_view(payment, one) for one in payment.refunds]})

    @router.get(
        "/{payment_id}/refunds/{refund_id}", summary="Get a refund", response_model=RefundShown
    )
    async def get_refund(
        payment_id: PaymentId,
        refund_id: RefundId,
        actor: Annotated[Actor, Depends(requires(READ))],
    ) -> Response:
        """Return one refund of a payment."""
        merchant_id = await payments.merchant_of(actor, payment_id)
        payment = await payments.get(merchant_id, payment_id)
        refund = payment.refund(refund_id)
        if refund is None:
            raise NotFound
        return json_response(refund_view(payment, refund))

    return router


async def payment_filter(
    *,
    status: PaymentStatus | None = None,
    currency: CurrencyQuery = None,
    reference: ReferenceQuery = None,
    created_from: CreatedQuery = None,
    created_until: CreatedQuery = None,
    processor_outcome: OutcomeQuery = None,
    metadata: MetadataFilter = None,
) -> PaymentFilter:
    """Return the conditions of a list."""
    return PaymentFilter(
        status=status,
        currency=currency,
        reference=reference,
        created_from=milliseconds_of(created_from) if created_from else None,
        created_until=milliseconds_of(created_until) if created_until else None,
        outcomes_open=int(processor_outcome == "open") if processor_outcome else None,
        metadata=metadata_pair(metadata) if metadata else None,
    )
