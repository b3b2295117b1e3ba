"""The routes of merchants. They translate; what a merchant may become is the model's business."""

from typing import Annotated, Final

from fastapi import APIRouter, Depends, Request
from fintech_kernel.contracts.merchants import MerchantStatus
from fintech_kernel.domain.actors import Actor
from fintech_kernel.domain.operations import IdempotentCall
from fintech_kernel.web.answers import answer_response, json_response
from fintech_kernel.web.authentication import requires
from fintech_kernel.web.idempotency import idempotency
from fintech_kernel.web.pagination import Page, page, page_body
from fintech_kernel.web.schemas import ObjectIdPath
from fintech_kernel.web.strict_json import StrictJsonRoute
from starlette.responses import Response

from fintech_merchants.api.schemas import (
    ActivateMerchantBody,
    CreateMerchantBody,
    MerchantShown,
    MerchantsShown,
    PricingShown,
    SetPricingBody,
    StopMerchantBody,
)
from fintech_merchants.domain.model import Action
from fintech_merchants.domain.service import Merchants, NewMerchant
from fintech_merchants.domain.views import merchant_view, pricing_view

CREATE: Final = "merchants:create"
READ: Final = "merchants:read"
MANAGE: Final = "merchants:manage"
READ_PRICING: Final = "pricing:read"
MANAGE_PRICING: Final = "pricing:manage"

Call = Annotated[IdempotentCall, Depends(idempotency)]


def build_router(merchants: Merchants) -> APIRouter:
    """Return the routes over the use cases of merchants."""
    router = APIRouter(route_class=StrictJsonRoute)

    @router.post("", summary="Onboard a merchant", status_code=201, response_model=MerchantShown)
    async def create_merchant(
        request: Request,
        body: CreateMerchantBody,
        actor: Annotated[Actor, Depends(requires(CREATE))],
        call: Call,
    ) -> Response:
        """Create a merchant; it is ``pending`` and takes no payments until it is activated."""
        new = NewMerchant(
            name=body.name,
            currencies=tuple(body.currencies),
            settlement_delay_days=body.settlement.delay_days,
            settlement_minimum=body.settlement.minimum,
            rules=tuple(rule.to_rule() for rule in body.pricing),
        )
        return answer_response(request, await merchants.create(new, actor=actor, call=call))

    @router.get("", summary="List merchants", response_model=MerchantsShown)
    async def list_merchants(
        actor: Annotated[Actor, Depends(requires(READ))],
        page: Annotated[Page, Depends(page)],
        status: MerchantStatus | None = None,
    ) -> Response:
        """Return merchants newest first; a merchant's principals see their own alone."""
        before = str(page.after[0]) if page.after else None
        found = await merchants.page(actor=actor, status=status, before=before, limit=page.limit)
        is_full = len(found) == page.limit
        cursor = page.next_cursor((found[-1]["merchant_id"],)) if is_full else None
        return json_response(page_body(found, cursor))

    @router.get("/{merchant_id}", summary="Get a merchant", response_model=MerchantShown)
    async def get_merchant(
        merchant_id: ObjectIdPath, actor: Annotated[Actor, Depends(requires(READ))]
    ) -> Response:
        """Return a merchant as its journal tells it."""
        return json_response(merchant_view(await merchants.get(merchant_id, actor=actor)))

    @router.post(
        "/{merchant_id}/activate", summary="Activate a merchant", response_model=MerchantShown
    )
    async def activate_merchant(
        request: Request,
        merchant_id: ObjectIdPath,
        body: ActivateMerchantBody,
        actor: Annotated[Actor, Depends(requires(MANAGE))],
        call: Call,
    ) -> Response:
        """Let a pending or suspended merchant take payments."""
        answer = await merchants.change_status(
            merchant_id, Action.ACTIVATE, body.reason, actor=actor, call=call
        )
        return answer_response(request, answer)

    @router.post(
        "/{merchant_id}/suspend", summary="Suspend a merchant", response_model=MerchantShown
    )
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

    @router.post("/{merchant_id}/close", summary="Close a merchant", response_model=MerchantShown)
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

    @router.post(
        "/{merchant_id}/pricing", summary="Set a merchant's pricing", response_model=PricingShown
    )
    async def set_pricing(
        request: Request,
        merchant_id: ObjectIdPath,
        body: SetPricingBody,
        actor: Annotated[Actor, Depends(requires(MANAGE_PRICING))],
        call: Call,
    ) -> Response:
        """Replace the pricing for payments taken from now on; earlier ones keep theirs."""
        rules = [rule.to_rule() for rule in body.rules]
        answer = await merchants.set_pricing(merchant_id, rules, actor=actor, call=call)
        return answer_response(request, answer)

    @router.get(
        "/{merchant_id}/pricing", summary="Get a merchant's pricing", response_model=PricingShown
    )
    async def get_pricing(
        merchant_id: ObjectIdPath, actor: Annotated[Actor, Depends(requires(READ_PRICING))]
    ) -> Response:
        """Return the pricing that new payments get."""
        return json_response(pricing_view(await merchants.get(merchant_id, actor=actor)))

    return router
