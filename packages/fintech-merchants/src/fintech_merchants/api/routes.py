"""The routes of merchants. They translate; what a merchant may become is the model's business.

Status and verification have routes of their own (``status_routes``), and so has pricing (``pricing_routes``).
"""

from typing import Annotated, Final

from fastapi import APIRouter, Depends, Query, Request
from fintech_kernel.clock import milliseconds_of
from fintech_kernel.contracts.merchants import MerchantStatus, VerificationStatus
from fintech_kernel.domain.actors import Actor
from fintech_kernel.domain.operations import IdempotentCall
from fintech_kernel.domain.permissions import Permissions
from fintech_kernel.web.answers import answer_response, json_response
from fintech_kernel.web.authentication import requires
from fintech_kernel.web.idempotency import idempotency
from fintech_kernel.web.pagination import Page, page, page_body
from fintech_kernel.web.schemas import (
    MetadataFilter,
    ObjectIdPath,
    Timestamp,
    metadata_pair,
)
from fintech_kernel.web.strict_json import StrictJsonRoute
from starlette.responses import Response

from fintech_merchants.api.schemas import (
    OWN_FIELDS,
    CreateMerchantBody,
    MerchantShown,
    MerchantsShown,
    TimelineShown,
    UpdateMerchantBody,
)
from fintech_merchants.domain.service import Merchants
from fintech_merchants.domain.views import merchant_view
from fintech_merchants.infrastructure.queries import MerchantFilter

CREATE: Final = "merchants:create"
READ: Final = "merchants:read"
UPDATE: Final = "merchants:update"
MANAGE: Final = "merchants:manage"

CurrencyQuery = Annotated[str | None, Query(pattern="^[A-Z]{3}$", examples=["KES"])]
CreatedQuery = Annotated[Timestamp | None, Query()]
Call = Annotated[IdempotentCall, Depends(idempotency)]


def build_router(merchants: Merchants, permissions: Permissions) -> APIRouter:
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
        answer = await merchants.create(body.to_new(), actor=actor, call=call)
        return answer_response(request, answer)

    @router.get("", summary="List merchants", response_model=MerchantsShown)
    async def list_merchants(
        actor: Annotated[Actor, Depends(requires(READ))],
        where: Annotated[MerchantFilter, Depends(_merchant_filter)],
        page: Annotated[Page, Depends(page)],
    ) -> Response:
        """Return merchants newest first, narrowed; a merchant's principals see their own alone."""
        before = str(page.after[0]) if page.after else None
        found = await merchants.page(actor=actor, where=where, before=before, limit=page.limit)
        is_full = len(found) == page.limit
        cursor = page.next_cursor((found[-1]["merchant_id"],)) if is_full else None
        return json_response(page_body(found, cursor))

    @router.get("/{merchant_id}", summary="Get a merchant", response_model=MerchantShown)
    async def get_merchant(
        merchant_id: ObjectIdPath, actor: Annotated[Actor, Depends(requires(READ))]
    ) -> Response:
        """Return a merchant as its journal tells it."""
        merchant = await merchants.get(merchant_id, actor=actor)
        return json_response(merchant_view(merchant, merchants.in_force(merchant)))

    @router.patch("/{merchant_id}", summary="Change a merchant", response_model=MerchantShown)
    async def update_merchant(
        request: Request,
        merchant_id: ObjectIdPath,
        body: UpdateMerchantBody,
        actor: Annotated[Actor, Depends(requires(UPDATE))],
        call: Call,
    ) -> Response:
        """Change what is sent (RFC 7396); a schedule and a bank account are replaced whole.

        Beyond ``contact`` and ``metadata`` it takes ``merchants:manage``.
        """
        if body.model_fields_set - OWN_FIELDS:
            permissions.require(actor, MANAGE)
        answer = await merchants.update(merchant_id, body.to_patch(), actor=actor, call=call)
        return answer_response(request, answer)

    @router.get(
        "/{merchant_id}/timeline",
        summary="What happened to a merchant",
        response_model=TimelineShown,
    )
    async def get_merchant_timeline(
        merchant_id: ObjectIdPath,
        actor: Annotated[Actor, Depends(requires(READ))],
        page: Annotated[Page, Depends(page)],
    ) -> Response:
        """Return what happened to a merchant and what was refused, newest first, and what is under way."""
        before = int(page.after[0]) if page.after else None
        found = await merchants.timeline(merchant_id, actor=actor, before=before, limit=page.limit)
        is_full = len(found.entries) == page.limit
        cursor = page.next_cursor((str(found.entries[-1]["seq"]),)) if is_full else None
        return json_response({**page_body(found.entries, cursor), "pending": found.pending})

    return router


async def _merchant_filter(
    *,
    status: MerchantStatus | None = None,
    verification: VerificationStatus | None = None,
    currency: CurrencyQuery = None,
    created_from: CreatedQuery = None,
    created_until: CreatedQuery = None,
    metadata: MetadataFilter = None,
) -> MerchantFilter:
    return MerchantFilter(
        status=status.value if status else None,
        verification=verification.value if verification else None,
        currency=currency,
        created_from=milliseconds_of(created_from) if created_from else None,
        created_until=milliseconds_of(created_until) if created_until else None,
        metadata=metadata_pair(metadata) if metadata else None,
    )
