"""Routes of runs over all merchants. They are the platform's."""

from typing import Annotated, Final

from fastapi import APIRouter, Depends, Query, Request
from fintech_kernel.clock import Clock, milliseconds_of
from fintech_kernel.domain.actors import Actor
from fintech_kernel.domain.operations import IdempotentCall
from fintech_kernel.web.answers import answer_response, json_response
from fintech_kernel.web.authentication import requires
from fintech_kernel.web.idempotency import idempotency
from fintech_kernel.web.pagination import Page, page, page_body
from fintech_kernel.web.schemas import Timestamp, id_path
from fintech_kernel.web.strict_json import StrictJsonRoute
from starlette.responses import Response

from fintech_settlements.api.run_schemas import (
    DuePage,
    RunBody,
    RunRequest,
    RunsPage,
    due_json,
    run_json,
)
from fintech_settlements.domain.runs import Runs

RUN: Final = "settlements:run"

RunId = Annotated[str, id_path("run", description="the run")]
CutoffQuery = Annotated[Timestamp | None, Query(description="RFC 3339, with offset; default: now")]


def build_run_router(runs: Runs, clock: Clock) -> APIRouter:
    """Return the routes of runs."""
    router = APIRouter(route_class=StrictJsonRoute)

    @router.post(
        "", status_code=202, response_model=RunBody, summary="Settle every merchant that is due"
    )
    async def run_settlements(
        request: Request,
        actor: Annotated[Actor, Depends(requires(RUN))],
        call: Annotated[IdempotentCall, Depends(idempotency)],
        body: RunRequest,
    ) -> Response:
        """Open a settlement for each merchant and currency that is due by the merchant's schedule.

        The run is recorded and done in the background, within a minute normally; read it to see how far
        it is. Merchants under review or suspended are left out. Two runs at once settle nothing twice.
        """
        answer = await runs.request(cutoff=body.cutoff_milliseconds, actor=actor, call=call)
        return answer_response(request, answer)

    @router.get("", response_model=RunsPage, summary="List runs")
    async def list_settlement_runs(
        _actor: Annotated[Actor, Depends(requires(RUN))],
        wanted: Annotated[Page, Depends(page)],
    ) -> Response:
        """Return runs that were asked for, newest first; those of the schedule leave only settlements."""
        before = None if wanted.after is None else str(wanted.after[0])
        shown = await runs.page(before=before, limit=wanted.limit)
        more = wanted.next_cursor((shown[-1].run_id,)) if len(shown) == wanted.limit else None
        return json_response(page_body([run_json(one) for one in shown], more))

    @router.get("/due", response_model=DuePage, summary="List what a run would settle")
    async def list_due_settlements(
        _actor: Annotated[Actor, Depends(requires(RUN))],
        wanted: Annotated[Page, Depends(page)],
        cutoff: CutoffQuery = None,
    ) -> Response:
        """Return what a run as of the cutoff would do with each account: a dry run, nothing is written."""
        at = clock.now_milliseconds() if cutoff is None else milliseconds_of(cutoff)
        after = ("", "") if wanted.after is None else (str(wanted.after[0]), str(wanted.after[1]))
        shown = await runs.look(at=at, after=after, limit=wanted.limit)
        last = (shown[-1].merchant_id, shown[-1].currency) if len(shown) == wanted.limit else None
        more = None if last is None else wanted.next_cursor(last)
        return json_response(page_body([due_json(one) for one in shown], more))

    @router.get("/{run_id}", response_model=RunBody, summary="Get a run")
    async def get_settlement_run(
        _actor: Annotated[Actor, Depends(requires(RUN))], run_id: RunId
    ) -> Response:
        """Return a run that was asked for, and how far it is."""
        return json_response(run_json(await runs.get(run_id)))

    return router
