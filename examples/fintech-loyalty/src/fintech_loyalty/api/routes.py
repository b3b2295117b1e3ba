"""The routes of loyalty. They translate; whether points may be redeemed is the model's business."""

from typing import Annotated, Final

from fastapi import APIRouter, Depends, Request
from fintech_kernel.domain.actors import Actor
from fintech_kernel.domain.operations import IdempotentCall
from fintech_kernel.web.answers import answer_response, json_response
from fintech_kernel.web.authentication import requires
from fintech_kernel.web.idempotency import idempotency
from fintech_kernel.web.strict_json import StrictJsonRoute
from starlette.responses import Response

from fintech_loyalty.api.schemas import (
    BalanceShown,
    CustomerId,
    RedeemBody,
    RedemptionShown,
    balance_shown,
)
from fintech_loyalty.domain.service import Loyalty

REDEEM: Final = "loyalty:redeem"
READ: Final = "loyalty:read"


def build_router(loyalty: Loyalty) -> APIRouter:
    """Return the routes over the use cases."""
    router = APIRouter(route_class=StrictJsonRoute)

    @router.post(
        "/customers/{customer_id}/redemptions",
        summary="Redeem points",
        status_code=201,
        response_model=RedemptionShown,
    )
    async def redeem_points(
        request: Request,
        customer_id: CustomerId,
        body: RedeemBody,
        actor: Annotated[Actor, Depends(requires(REDEEM))],
        call: Annotated[IdempotentCall, Depends(idempotency)],
    ) -> Response:
        """Take points from a customer, once for each key."""
        answer = await loyalty.redeem(
            customer_id, body.points, merchant_id=actor.merchant_id, actor=actor, call=call
        )
        return answer_response(request, answer)

    @router.get(
        "/customers/{customer_id}", summary="Get a customer's points", response_model=BalanceShown
    )
    async def get_points(
        customer_id: CustomerId, actor: Annotated[Actor, Depends(requires(READ))]
    ) -> Response:
        """Return a customer's points; of whom nothing is known, none."""
        balance = await loyalty.balance(customer_id, merchant_id=actor.merchant_id)
        return json_response(balance_shown(balance))

    return router
