"""Routes of reconciliation: the bank's lines come in, differences are explained by two people."""

from typing import Annotated, Final

from fastapi import APIRouter, Depends, Query, Request
from fintech_kernel.clock import Clock
from fintech_kernel.domain.actors import Actor
from fintech_kernel.domain.operations import IdempotentCall
from fintech_kernel.web.answers import answer_response, json_response
from fintech_kernel.web.authentication import requires
from fintech_kernel.web.idempotency import idempotency
from fintech_kernel.web.pagination import Page, page, page_body
from fintech_kernel.web.strict_json import StrictJsonRoute
from starlette.responses import Response

from fintech_settlements.api.reconciliation_schemas import (
    ImportRequest,
    ImportShown,
    ReconciliationId,
    ReconciliationPage,
    ReconciliationShown,
    ResolutionRequest,
    reconciliation_view,
)
from fintech_settlements.domain.reconciliation import ReconciliationStatus
from fintech_settlements.domain.reconciling import APPROVE, REJECT, Reconciling

READ: Final = "reconciliations:read"
IMPORT: Final = "reconciliations:import"
RESOLVE: Final = "reconciliations:resolve"
DECIDE: Final = "reconciliations:approve"

Idempotency = Annotated[IdempotentCall, Depends(idempotency)]


def build_reconciliation_router(reconciling: Reconciling, clock: Clock) -> APIRouter:
    """Return the routes over the use cases."""
    router = APIRouter(route_class=StrictJsonRoute)

    @router.post("/lines", response_model=ImportShown, summary="Import the bank's lines")
    async def import_bank_lines(
        request: Request,
        actor: Annotated[Actor, Depends(requires(IMPORT))],
        call: Idempotency,
        body: ImportRequest,
    ) -> Response:
        """Match lines to payouts by the batch number in their text; what names none is `unknown`.

        A line has one key for ever: importing it again, by whomever, changes nothing. Larger files are
        imported in parts, or by `fintech settlements import-bank`.
        """
        answer = await reconciling.import_lines(body.bank_lines(), actor=actor, call=call)
        return answer_response(request, answer)

    @router.get(
        "",
        response_model=ReconciliationPage,
        summary="List reconciliations",
        dependencies=[Depends(requires(READ))],
    )
    async def list_reconciliations(
        wanted: Annotated[Page, Depends(page)],
        status: Annotated[ReconciliationStatus | None, Query()] = None,
    ) -> Response:
        """Return reconciliations, newest first; `missing` are those whose line the bank owes."""
        found = await reconciling.list(
            status=status,
            before=str(wanted.after[0]) if wanted.after else None,
            limit=wanted.limit + 1,
        )
        shown = found[: wanted.limit]
        more = len(found) > wanted.limit
        cursor = wanted.next_cursor((shown[-1].reconciliation_id,)) if more else None
        now = clock.now_milliseconds()
        views = [reconciliation_view(one, status=one.status_at(now)) for one in shown]
        return json_response(page_body(views, cursor))

    @router.get(
        "/{reconciliation_id}",
        response_model=ReconciliationShown,
        summary="Get a reconciliation",
        dependencies=[Depends(requires(READ))],
    )
    async def get_reconciliation(reconciliation_id: ReconciliationId) -> Response:
        """Return a reconciliation as its journal makes it."""
        found = await reconciling.get(reconciliation_id)
        status = found.status_at(clock.now_milliseconds())
        return json_response(reconciliation_view(found, status=status))

    @router.post(
        "/{reconciliation_id}/resolve",
        response_model=ReconciliationShown,
        summary="Resolve a difference",
    )
    async def resolve_reconciliation(
        request: Request,
        actor: Annotated[Actor, Depends(requires(RESOLVE))],
        call: Idempotency,
        reconciliation_id: ReconciliationId,
        body: ResolutionRequest,
    ) -> Response:
        """Explain what is in suspense: it moves to an account once somebody else approves.

        Where nothing is in suspense and the bank's line is awaited, it is waived at once: nothing moves.
        """
        answer = await reconciling.resolve(
            reconciliation_id, account=body.account, reason=body.reason, actor=actor, call=call
        )
        return answer_response(request, answer)

    @router.post(
        "/{reconciliation_id}/approve",
        response_model=ReconciliationShown,
        summary="Approve a resolution",
    )
    async def approve_resolution(
        request: Request,
        actor: Annotated[Actor, Depends(requires(DECIDE))],
        call: Idempotency,
        reconciliation_id: ReconciliationId,
    ) -> Response:
        """Approve what somebody else proposed: what is in suspense moves to the account."""
        answer = await reconciling.decide(APPROVE, reconciliation_id, actor=actor, call=call)
        return answer_response(request, answer)

    @router.post(
        "/{reconciliation_id}/reject",
        response_model=ReconciliationShown,
        summary="Reject a resolution",
    )
    async def reject_resolution(
        request: Request,
        actor: Annotated[Actor, Depends(requires(DECIDE))],
        call: Idempotency,
        reconciliation_id: ReconciliationId,
    ) -> Response:
        """Reject what somebody else proposed; nothing moves."""
        answer = await reconciling.decide(REJECT, reconciliation_id, actor=actor, call=call)
        return answer_response(request, answer)

    return router
