"""The routes of periods: whether one can be closed, closing it, and what is closed."""

from typing import Annotated, Final

from fastapi import APIRouter, Depends, Path, Query, Request
from fintech_kernel.domain.actors import Actor
from fintech_kernel.domain.operations import IdempotentCall
from fintech_kernel.web.answers import answer_response, json_response
from fintech_kernel.web.authentication import requires
from fintech_kernel.web.idempotency import idempotency
from fintech_kernel.web.pagination import Page, page, page_body
from fintech_kernel.web.schemas import MONTH_PATTERN
from fintech_kernel.web.strict_json import StrictJsonRoute
from starlette.responses import Response

from fintech_ledger.api.period_schemas import (
    PeriodRequest,
    PeriodShown,
    PeriodsShown,
    ReadinessShown,
    period_view,
    readiness_view,
)
from fintech_ledger.domain.period_closes import Periods

CLOSE: Final = "ledger:close"

PeriodId = Annotated[
    str, Path(pattern=MONTH_PATTERN, description="the period", examples=["2026-11"])
]
PeriodQuery = Annotated[
    str,
    Query(pattern=MONTH_PATTERN, description="a month (UTC) that has ended", examples=["2026-11"]),
]
Idempotency = Annotated[IdempotentCall, Depends(idempotency)]


def build_period_router(periods: Periods, *, read: str) -> APIRouter:
    """Return the routes over periods; ``read`` is the permission of who reads them."""
    router = APIRouter(route_class=StrictJsonRoute)

    @router.post("/periods", status_code=201, response_model=PeriodShown, summary="Close a period")
    async def close_period(
        request: Request,
        actor: Annotated[Actor, Depends(requires(CLOSE))],
        call: Idempotency,
        body: PeriodRequest,
    ) -> Response:
        """Close a month. It is refused with every reason while anything stands in its way.

        No posting waits for it: what is committed later belongs to the next period.
        """
        answer = await periods.close(
            body.period, actor=actor, key=call.key, fingerprint=call.fingerprint
        )
        return answer_response(request, answer)

    @router.get(
        "/periods",
        response_model=PeriodsShown,
        summary="List closed periods",
        dependencies=[Depends(requires(read))],
    )
    async def list_periods(page: Annotated[Page, Depends(page)]) -> Response:
        """Return closed periods, newest first."""
        before = str(page.after[0]) if page.after else None
        found = [one for one in await periods.list() if before is None or one.period < before]
        shown = found[: page.limit]
        more = page.next_cursor((shown[-1].period,)) if len(found) > page.limit else None
        return json_response(page_body([period_view(one) for one in shown], more))

    @router.get(
        "/periods/{period_id}",
        response_model=PeriodShown,
        summary="Get a closed period",
        dependencies=[Depends(requires(read))],
    )
    async def get_period(period_id: PeriodId) -> Response:
        """Return a closed period; one that is not closed is absent."""
        return json_response(period_view(await periods.get(period_id)))

    @router.get(
        "/readiness",
        response_model=ReadinessShown,
        summary="Ask whether a period can be closed",
        dependencies=[Depends(requires(read))],
    )
    async def get_readiness(period: PeriodQuery) -> Response:
        """Return every reason why a period cannot be closed now; nothing is recorded."""
        return json_response(readiness_view(period, await periods.obstacles(period)))

    return router
