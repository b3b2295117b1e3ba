"""The routes that verify, activate, suspend and close a merchant."""

from typing import Annotated, Final

from fastapi import APIRouter, Depends, Request
from fintech_kernel.domain.actors import Actor
from fintech_kernel.domain.operations import IdempotentCall
from fintech_kernel.web.answers import answer_response
from fintech_kernel.web.authentication import requires
from fintech_kernel.web.idempotency import idempotency
from fintech_kernel.web.schemas import ObjectIdPath
from fintech_kernel.web.strict_json import StrictJsonRoute
from starlette.responses import Response

from fintech_merchants.api.routes import MANAGE
from fintech_merchants.api.schemas import (
    ActivateMerchantBody,
    MerchantShown,
    StopMerchantBody,
    VerifyMerchantBody,
)
from fintech_merchants.domain.commands import Action
from fintech_merchants.domain.service import Merchants

VERIFY: Final = "merchants:verify"

Call = Annotated[IdempotentCall, Depends(idempotency)]


def build_status_router(merchants: Merchants) -> APIRouter:
    """Return the routes over the status of a merchant."""
    router = APIRouter(route_class=StrictJsonRoute)

    @router.post(
        "/verification",
        summary="Record a verification",
        response_model=MerchantShown,
    )
    async def verify_merchant(
        request: Request,
        merchant_id: ObjectIdPath,
        body: VerifyMerchantBody,
        actor: Annotated[Actor, Depends(requires(VERIFY))],
        call: Call,
    ) -> Response:
        """Record what came of a check outside; the latest outcome counts. It suspends nobody."""
        answer = await merchants.verify(
            merchant_id,
            body.outcome,
            reference=body.reference,
            reason=body.reason,
            actor=actor,
            call=call,
        )
        return answer_response(request, answer)

    @router.post("/activate", summary="Activate a merchant", response_model=MerchantShown)
    async def activate_merchant(
        request: Request,
        merchant_id: ObjectIdPath,
        body: ActivateMerchantBody,
        actor: Annotated[Actor, Depends(requires(MANAGE))],
        call: Call,
    ) -> Response:
        """Let a pending or suspended merchant take payments, once it is verified."""
        answer = await merchants.change_status(
            merchant_id, Action.ACTIVATE, body.reason, actor=actor, call=call
        )
        return answer_response(request, answer)

    @router.post("/suspend", summary="Suspend a merchant", response_model=MerchantShown)
    async def suspend_merchant(
        request: Request,
        merchant_id: ObjectIdPath,
        body: StopMerchantBody,
        actor: Annotated[Actor, Depends(requires(MANAGE))],
        call: Call,
    ) -> Response:
        """Refuse an active merchant's new payments from now on."""
        answer = await merchants.change_status(
            merchant_id, Action.SUSPEND, body.reason, actor=actor, call=call
        )
        return answer_response(request, answer)

    @router.post("/close", summary="Close a merchant", response_model=MerchantShown)
    async def close_merchant(
        request: Request,
        merchant_id: ObjectIdPath,
        body: StopMerchantBody,
        actor: Annotated[Actor, Depends(requires(MANAGE))],
        call: Call,
    ) -> Response:
        """Close a pending or suspended merchant, for ever."""
        answer = await merchants.change_status(
            merchant_id, Action.CLOSE, body.reason, actor=actor, call=call
        )
        return answer_response(request, answer)

    return router
