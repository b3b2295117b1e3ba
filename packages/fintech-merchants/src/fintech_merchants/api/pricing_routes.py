"""The routes of a merchant's pricing: set, get, look back and ahead, preview a fee."""

from typing import Annotated, Final

from fastapi import APIRouter, Depends, Request
from fintech_kernel.clock import milliseconds_of
from fintech_kernel.domain.actors import Actor
from fintech_kernel.domain.operations import IdempotentCall
from fintech_kernel.web.answers import answer_response, json_response
from fintech_kernel.web.authentication import requires
from fintech_kernel.web.idempotency import idempotency
from fintech_kernel.web.pagination import Page, page, page_body
from fintech_kernel.web.schemas import ObjectIdPath
from fintech_kernel.web.strict_json import StrictJsonRoute
from starlette.responses import Response

from fintech_merchants.api.pricing_schemas import (
    FeePreviewShown,
    PreviewFeeBody,
    PricingShown,
    PricingVersionsShown,
    SetPricingBody,
)
from fintech_merchants.domain.service import Merchants
from fintech_merchants.domain.views import pricing_view

READ_PRICING: Final = "pricing:read"
MANAGE_PRICING: Final = "pricing:manage"

Call = Annotated[IdempotentCall, Depends(idempotency)]


def build_pricing_router(merchants: Merchants) -> APIRouter:
    """Return the routes over the pricing of merchants."""
    router = APIRouter(route_class=StrictJsonRoute)

    @router.post("", summary="Set a merchant's pricing", response_model=PricingShown)
    async def set_pricing(
        request: Request,
        merchant_id: ObjectIdPath,
        body: SetPricingBody,
        actor: Annotated[Actor, Depends(requires(MANAGE_PRICING))],
        call: Call,
    ) -> Response:
        """Set the next version, for payments taken while it is in force; earlier ones keep theirs."""
        effective_from = body.effective_from
        answer = await merchants.set_pricing(
            merchant_id,
            [rule.to_rule() for rule in body.rules],
            effective_from=milliseconds_of(effective_from) if effective_from else None,
            actor=actor,
            call=call,
        )
        return answer_response(request, answer)

    @router.get("", summary="Get a merchant's pricing", response_model=PricingShown)
    async def get_pricing(
        merchant_id: ObjectIdPath, actor: Annotated[Actor, Depends(requires(READ_PRICING))]
    ) -> Response:
        """Return the version that new payments get."""
        return json_response(pricing_view(await merchants.pricing(merchant_id, actor=actor)))

    @router.get(
        "/versions", summary="List versions of the pricing", response_model=PricingVersionsShown
    )
    async def list_pricing_versions(
        merchant_id: ObjectIdPath,
        actor: Annotated[Actor, Depends(requires(READ_PRICING))],
        page: Annotated[Page, Depends(page)],
    ) -> Response:
        """Return every version that was set, the latest first, those to come included."""
        before = int(page.after[0]) if page.after else None
        found = await merchants.pricing_versions(
            merchant_id, actor=actor, before=before, limit=page.limit
        )
        is_full = len(found) == page.limit
        cursor = page.next_cursor((found[-1].version,)) if is_full else None
        return json_response(page_body([pricing_view(one) for one in found], cursor))

    @router.post("/preview", summary="Preview a fee", response_model=FeePreviewShown)
    async def preview_fee(
        merchant_id: ObjectIdPath,
        body: PreviewFeeBody,
        actor: Annotated[Actor, Depends(requires(READ_PRICING))],
    ) -> Response:
        """Return the fee of a payment captured now, explained. It changes nothing and needs no key."""
        found = await merchants.preview_fee(
            merchant_id, body.to_money(), method=body.method, actor=actor
        )
        return json_response(found)

    return router
