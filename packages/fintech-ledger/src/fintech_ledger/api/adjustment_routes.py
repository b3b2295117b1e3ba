"""The routes of adjustments: transfers by hand, with a reason and two people."""

from typing import Annotated, Final

from fastapi import APIRouter, Depends, Query, Request
from fintech_kernel.domain.actors import Actor
from fintech_kernel.domain.operations import IdempotentCall
from fintech_kernel.money import Money
from fintech_kernel.web.answers import answer_response, json_response
from fintech_kernel.web.authentication import requires
from fintech_kernel.web.idempotency import idempotency
from fintech_kernel.web.pagination import Page, page, page_body
from fintech_kernel.web.strict_json import StrictJsonRoute
from starlette.responses import Response

from fintech_ledger.api.adjustment_schemas import (
    AdjustmentId,
    AdjustmentRequest,
    AdjustmentShown,
    AdjustmentsShown,
    adjustment_view,
)
from fintech_ledger.domain.adjustments import Adjustments
from fintech_ledger.domain.decisions import AdjustmentStatus

READ: Final = "adjustments:read"
PROPOSE: Final = "adjustments:propose"
APPROVE: Final = "adjustments:approve"

Idempotency = Annotated[IdempotentCall, Depends(idempotency)]


def build_adjustment_router(adjustments: Adjustments) -> APIRouter:
    """Return the routes over the use cases."""
    router = APIRouter(route_class=StrictJsonRoute)

    @router.post(
        "", status_code=201, response_model=AdjustmentShown, summary="Propose an adjustment"
    )
    async def propose_adjustment(
        request: Request,
        actor: Annotated[Actor, Depends(requires(PROPOSE))],
        call: Idempotency,
        body: AdjustmentRequest,
    ) -> Response:
        """Ask for a transfer between two accounts; nothing moves before somebody else approves it."""
        answer = await adjustments.propose(
            debit_account=body.debit_account,
            credit_account=body.credit_account,
            amount=Money(amount=body.amount, currency=body.currency),
            reason=body.reason,
            reference=body.reference,
            actor=actor,
            call=call,
        )
        return answer_response(request, answer)

    @router.get(
        "",
        response_model=AdjustmentsShown,
        summary="List adjustments",
        dependencies=[Depends(requires(READ))],
    )
    async def list_adjustments(
        page: Annotated[Page, Depends(page)],
        status: Annotated[AdjustmentStatus | None, Query()] = None,
    ) -> Response:
        """Return adjustments, newest first. The list may lag a moment behind single ones."""
        before = str(page.after[0]) if page.after else None
        found = await adjustments.list(status=status, before=before, limit=page.limit)
        is_full = len(found) == page.limit
        cursor = page.next_cursor((found[-1].adjustment_id,)) if is_full else None
        return json_response(page_body([adjustment_view(one) for one in found], cursor))

    @router.get(
        "/{adjustment_id}",
        response_model=AdjustmentShown,
        summary="Get an adjustment",
        dependencies=[Depends(requires(READ))],
    )
    async def get_adjustment(adjustment_id: AdjustmentId) -> Response:
        """Return an adjustment as its journal makes it."""
        return json_response(adjustment_view(await adjustments.get(adjustment_id)))

    @router.post(
        "/{adjustment_id}/approve",
        response_model=AdjustmentShown,
        summary="Approve an adjustment",
    )
    async def approve_adjustment(
        request: Request,
        actor: Annotated[Actor, Depends(requires(APPROVE))],
        call: Idempotency,
        adjustment_id: AdjustmentId,
    ) -> Response:
        """Approve what somebody else proposed; the transfer is posted."""
        answer = await adjustments.approve(adjustment_id, actor=actor, call=call)
        return answer_response(request, answer)

    @router.post(
        "/{adjustment_id}/reject",
        response_model=AdjustmentShown,
        summary="Reject an adjustment",
    )
    async def reject_adjustment(
        request: Request,
        actor: Annotated[Actor, Depends(requires(APPROVE))],
        call: Idempotency,
        adjustment_id: AdjustmentId,
    ) -> Response:
        """Reject what somebody else proposed; nothing moves."""
        answer = await adjustments.reject(adjustment_id, actor=actor, call=call)
        return answer_response(request, answer)

    return router
