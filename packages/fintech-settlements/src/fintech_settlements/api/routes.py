"""Routes of settlements: they translate and decide nothing."""

from collections.abc import AsyncIterator
from enum import StrEnum
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Query, Request
from fintech_kernel.clock import milliseconds_of
from fintech_kernel.domain.actors import Actor
from fintech_kernel.domain.operations import IdempotentCall
from fintech_kernel.web.answers import answer_response, json_response
from fintech_kernel.web.authentication import requires
from fintech_kernel.web.idempotency import idempotency
from fintech_kernel.web.pagination import Page, page, page_body
from fintech_kernel.web.schemas import CurrencyCode, Timestamp
from fintech_kernel.web.strict_json import StrictJsonRoute
from starlette.responses import Response, StreamingResponse

from fintech_settlements.api.schemas import (
    MerchantId,
    SettlementBody,
    SettlementId,
    SettlementPage,
    SettlementRequest,
    StatementBody,
    StatementLinePage,
    line_json,
    settlement_json,
)
from fintech_settlements.api.statements import CSV_COLUMNS, csv_statement, json_statement
from fintech_settlements.domain.model import SettlementStatus
from fintech_settlements.domain.service import Settlements
from fintech_settlements.infrastructure.queries import SettlementFilter

CREATE: Final = "settlements:create"
READ: Final = "settlements:read"
APPROVE: Final = "settlements:approve"

_CSV: Final = "text/csv"
_JSON: Final = "application/json"

_PARTS_AHEAD: Final = 3
"""The head of a statement, its first page, and what follows: a short one is checked as a whole."""

_CSV_RESPONSE: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "content": {
            _CSV: {
                "schema": {"type": "string"},
                "example": ",".join(CSV_COLUMNS) + "\r\n",
            }
        }
    }
}

CreatedQuery = Annotated[Timestamp | None, Query(description="RFC 3339, with offset")]
Idempotency = Annotated[IdempotentCall, Depends(idempotency)]


class StatementFormat(StrEnum):
    """The forms of a statement."""

    JSON = "json"
    CSV = "csv"


def build_router(settlements: Settlements) -> APIRouter:
    """Return the routes over the use cases."""
    router = APIRouter(route_class=StrictJsonRoute)

    @router.post(
        "",
        status_code=201,
        response_model=SettlementBody,
        summary="Settle what is due to a merchant",
    )
    async def create_settlement(
        request: Request,
        actor: Annotated[Actor, Depends(requires(CREATE))],
        call: Idempotency,
        body: SettlementRequest,
    ) -> Response:
        """Claim every due ledger line of a merchant and currency, once, and open a settlement over them.

        A total of zero, a negative one, or one below the merchant's minimum closes it at once; the
        latter two are carried forward as a line of the next settlement.
        """
        answer = await settlements.create(
            merchant_id=actor.merchant_for(body.merchant_id),
            currency=body.currency,
            cutoff=body.cutoff_milliseconds,
            actor=actor,
            call=call,
        )
        return answer_response(request, answer)

    @router.get("", response_model=SettlementPage, summary="List settlements")
    async def list_settlements(
        actor: Annotated[Actor, Depends(requires(READ))],
        wanted: Annotated[Page, Depends(page)],
        where: Annotated[SettlementFilter, Depends(settlement_filter)],
        merchant_id: Annotated[MerchantId | None, Query()] = None,
    ) -> Response:
        """Return settlements, newest first. The list may lag a moment behind single settlements."""
        found = await settlements.list(
            merchant_id=_scope(actor, merchant_id),
            where=where,
            before=_position(wanted),
            limit=wanted.limit + 1,
        )
        shown = found[: wanted.limit]
        more = _more(wanted, len(found), shown[-1].settlement_id if shown else "")
        return json_response(page_body([settlement_json(one) for one in shown], more))

    @router.get("/{settlement_id}", response_model=SettlementBody, summary="Get a settlement")
    async def get_settlement(
        actor: Annotated[Actor, Depends(requires(READ))], settlement_id: SettlementId
    ) -> Response:
        """Return a settlement as its journal makes it: what was acknowledged is seen at once."""
        return json_response(settlement_json(await settlements.find(actor, settlement_id)))

    @router.get(
        "/{settlement_id}/lines",
        response_model=StatementLinePage,
        summary="List the lines of a settlement",
    )
    async def list_settlement_lines(
        actor: Annotated[Actor, Depends(requires(READ))],
        wanted: Annotated[Page, Depends(page)],
        settlement_id: SettlementId,
    ) -> Response:
        """Return the claimed ledger lines, in the order of their transfer ids."""
        settlement = await settlements.find(actor, settlement_id)
        after = _position(wanted) or ""
        found = await settlements.lines(settlement, after=after, limit=wanted.limit + 1)
        shown = found[: wanted.limit]
        more = _more(wanted, len(found), shown[-1].transfer_id if shown else "")
        return json_response(page_body([line_json(line) for line in shown], more))

    @router.get(
        "/{settlement_id}/statement",
        response_model=StatementBody,
        responses=_CSV_RESPONSE,
        summary="Get the statement of a settlement",
    )
    async def get_settlement_statement(
        request: Request,
        actor: Annotated[Actor, Depends(requires(READ))],
        settlement_id: SettlementId,
        format: Annotated[  # noqa: A002 - the public name of the parameter
            StatementFormat | None,
            Query(description="default: by the `Accept` header, else JSON"),
        ] = None,
    ) -> Response:
        """Return all lines with totals by type, streamed; an answer that breaks off is no statement."""
        settlement = await settlements.find(actor, settlement_id)
        if _is_csv_wanted(request, format):
            disposition = f'attachment; filename="{settlement.batch_number}.csv"'
            return StreamingResponse(
                await _begun(csv_statement(settlements, settlement)),
                media_type=_CSV,
                headers={"Content-Disposition": disposition},
            )
        return StreamingResponse(
            await _begun(json_statement(settlements, settlement)), media_type=_JSON
        )

    @router.post(
        "/{settlement_id}/approve", response_model=SettlementBody, summary="Approve a settlement"
    )
    async def approve_settlement(
        request: Request,
        actor: Annotated[Actor, Depends(requires(APPROVE))],
        call: Idempotency,
        settlement_id: SettlementId,
    ) -> Response:
        """Answer for the total of an open settlement."""
        merchant_id = await settlements.merchant_of(actor, settlement_id)
        answer = await settlements.approve(
            settlement_id, merchant_id=merchant_id, actor=actor, call=call
        )
        return answer_response(request, answer)

    @router.post(
        "/{settlement_id}/cancel", response_model=SettlementBody, summary="Cancel a settlement"
    )
    async def cancel_settlement(
        request: Request,
        actor: Annotated[Actor, Depends(requires(APPROVE))],
        call: Idempotency,
        settlement_id: SettlementId,
    ) -> Response:
        """Give a settlement up before its payout; the money is a line of the next."""
        merchant_id = await settlements.merchant_of(actor, settlement_id)
        answer = await settlements.cancel(
            settlement_id, merchant_id=merchant_id, actor=actor, call=call
        )
        return answer_response(request, answer)

    return router


def _scope(actor: Actor, merchant_id: str | None) -> str | None:
    """Return whose settlements are listed; None is everybody's, for platform staff."""
    if merchant_id is None and actor.is_platform:
        return None
    return actor.merchant_for(merchant_id)


def _position(wanted: Page) -> str | None:
    return None if wanted.after is None else str(wanted.after[0])


def _more(wanted: Page, found: int, last_id: str) -> str | None:
    """Return the cursor of the next page where one row more was found than is shown."""
    return wanted.next_cursor((last_id,)) if found > wanted.limit else None


async def settlement_filter(
    status: SettlementStatus | None = None,
    currency: CurrencyCode | None = None,
    created_from: CreatedQuery = None,
    created_until: CreatedQuery = None,
) -> SettlementFilter:
    """Return the conditions of a list."""
    return SettlementFilter(
        status=None if status is None else status.value,
        currency=currency,
        created_from=None if created_from is None else milliseconds_of(created_from),
        created_until=None if created_until is None else milliseconds_of(created_until),
    )


def _is_csv_wanted(request: Request, asked: StatementFormat | None) -> bool:
    if asked is not None:
        return asked is StatementFormat.CSV
    return _CSV in request.headers.get("accept", "")


async def _begun(parts: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Return the same parts after the first were made: what fails so early is still a problem."""
    first = [part for _ in range(_PARTS_AHEAD) if (part := await anext(parts, b""))]

    async def whole() -> AsyncIterator[bytes]:
        for part in first:
            yield part
        async for part in parts:
            yield part

    return whole()
