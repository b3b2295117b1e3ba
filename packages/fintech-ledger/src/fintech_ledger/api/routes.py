"""The routes of the ledger. They read; what is posted comes from other plugins' decisions."""

from typing import Annotated, Final

from fastapi import APIRouter, Depends, Path, Query
from fintech_kernel.clock import milliseconds_of
from fintech_kernel.domain.actors import Actor
from fintech_kernel.web.answers import json_response
from fintech_kernel.web.authentication import requires
from fintech_kernel.web.pagination import Page, page, page_body
from fintech_kernel.web.schemas import DAY_PATTERN, Timestamp
from fintech_kernel.web.strict_json import StrictJsonRoute
from starlette.responses import Response

from fintech_ledger.api.schemas import (
    AccountShown,
    AccountsShown,
    CloseShown,
    ClosesShown,
    TransfersShown,
    TrialBalanceShown,
    account_view,
    close_view,
    past_view,
    transfer_view,
    trial_view,
)
from fintech_ledger.domain.books import Books, TransferFilter
from fintech_ledger.domain.closes import Closes

READ: Final = "ledger:read"
AUDIT: Final = "ledger:audit"

AccountName = Annotated[
    str,
    Path(
        pattern=r"^[a-z]{1,16}:[a-z]{1,16}(:[a-z0-9_]{1,64})?:[A-Z]{3}$",
        examples=["liabilities:merchant:mer_01k9qq3v5kf7wsc0d3jz8y2m4t:KES"],
    ),
]
AccountQuery = Annotated[
    str | None,
    Query(
        pattern=r"^[a-z]{1,16}:[a-z]{1,16}(:[a-z0-9_]{1,64})?:[A-Z]{3}$",
        description="on either side",
        examples=["assets:processor:sandbox:KES"],
    ),
]
SubjectQuery = Annotated[
    str | None,
    Query(pattern="^[a-z0-9_]{1,64}$", examples=["pay_01k9qq3v5kf7wsc0d3jz8y2m4t"]),
]
KindQuery = Annotated[str | None, Query(pattern="^[A-Za-z]{1,32}$", examples=["Settled"])]
CurrencyQuery = Annotated[str | None, Query(pattern="^[A-Z]{3}$", examples=["KES"])]
ReferenceQuery = Annotated[
    str | None,
    Query(max_length=64, pattern=r"^[^\x00-\x1f\x7f]*$", examples=["order-1017"]),
]
RecordedQuery = Annotated[Timestamp | None, Query()]
DayQuery = Annotated[
    str | None,
    Query(
        pattern=DAY_PATTERN,
        description="a day (UTC) that has ended, which is a close's id too: the balance at its end",
        examples=["2026-11-21"],
    ),
]
CloseId = Annotated[str, Path(pattern=DAY_PATTERN, description="the day", examples=["2026-11-21"])]
MerchantQuery = Annotated[
    str | None,
    Query(
        pattern="^[a-z0-9_]{1,64}$",
        description="only this merchant's; a merchant's principals see nobody else's",
        examples=["mer_01k9qq3v5kf7wsc0d3jz8y2m4t"],
    ),
]


def build_router(books: Books, closes: Closes) -> APIRouter:
    """Return the routes over the books and their closes."""
    router = APIRouter(route_class=StrictJsonRoute)

    @router.get("/accounts", summary="List accounts", response_model=AccountsShown)
    async def list_accounts(
        actor: Annotated[Actor, Depends(requires(READ))],
        page: Annotated[Page, Depends(page)],
        merchant_id: MerchantQuery = None,
    ) -> Response:
        """Return accounts by name, with balances: a merchant's own, or those of the whole platform."""
        found = await books.accounts(
            merchant_id=_scope(actor, merchant_id),
            after=str(page.after[0]) if page.after else "",
            limit=page.limit,
        )
        is_full = len(found) == page.limit
        cursor = page.next_cursor((found[-1].account.name,)) if is_full else None
        return json_response(page_body([account_view(one) for one in found], cursor))

    @router.get("/accounts/{account}", summary="Get an account", response_model=AccountShown)
    async def get_account(
        account: AccountName,
        actor: Annotated[Actor, Depends(requires(READ))],
        at: DayQuery = None,
    ) -> Response:
        """Return an account's balance, now or at the end of a day: pending, available, in settlement.

        A closed day is read from its close, late postings excluded. A day without a close is computed
        over the account's transfers, which takes longer the more they are.
        """
        merchant_id = _scope(actor, None)
        if at is None:
            return json_response(
                account_view(await books.account(account, merchant_id=merchant_id))
            )
        past = await books.account_at(account, period=at, merchant_id=merchant_id)
        return json_response(past_view(past))

    @router.get("/transfers", summary="List transfers", response_model=TransfersShown)
    async def list_transfers(
        actor: Annotated[Actor, Depends(requires(READ))],
        wanted: Annotated[TransferFilter, Depends(transfer_filter)],
        page: Annotated[Page, Depends(page)],
        merchant_id: MerchantQuery = None,
    ) -> Response:
        """Return transfers newest first, narrowed by the given conditions."""
        found = await books.transfers(
            merchant_id=_scope(actor, merchant_id),
            wanted=wanted,
            before=(int(page.after[0]), str(page.after[1])) if page.after else None,
            limit=page.limit,
        )
        is_full = len(found) == page.limit
        cursor = (
            page.next_cursor((found[-1].recorded_at, found[-1].transfer_id)) if is_full else None
        )
        return json_response(page_body([transfer_view(one) for one in found], cursor))

    @router.get(
        "/trial-balance",
        summary="Get the trial balance",
        response_model=TrialBalanceShown,
        dependencies=[Depends(requires(AUDIT))],
    )
    async def get_trial_balance() -> Response:
        """Return debits and credits of every group of accounts, by currency, of one moment."""
        return json_response({"data": [trial_view(trial) for trial in await books.trial_balance()]})

    @router.get(
        "/closes",
        summary="List closes",
        response_model=ClosesShown,
        dependencies=[Depends(requires(AUDIT))],
    )
    async def list_closes(page: Annotated[Page, Depends(page)]) -> Response:
        """Return closed days with their trial balances, newest first."""
        before = int(page.after[0]) if page.after else None
        found = await closes.list(before=before, limit=page.limit)
        is_full = len(found) == page.limit
        cursor = page.next_cursor((found[-1].fold,)) if is_full else None
        return json_response(page_body([close_view(one) for one in found], cursor))

    @router.get(
        "/closes/{close_id}",
        summary="Get a close",
        response_model=CloseShown,
        dependencies=[Depends(requires(AUDIT))],
    )
    async def get_close(close_id: CloseId) -> Response:
        """Return a closed day with its trial balance."""
        return json_response(close_view(await closes.get(close_id)))

    return router


async def transfer_filter(
    *,
    account: AccountQuery = None,
    subject_id: SubjectQuery = None,
    kind: KindQuery = None,
    currency: CurrencyQuery = None,
    reference: ReferenceQuery = None,
    recorded_from: RecordedQuery = None,
    recorded_before: RecordedQuery = None,
) -> TransferFilter:
    """Return the conditions of a list."""
    return TransferFilter(
        account=account,
        subject_id=subject_id,
        kind=kind,
        currency=currency,
        reference=reference,
        recorded_from=milliseconds_of(recorded_from) if recorded_from else None,
        recorded_before=milliseconds_of(recorded_before) if recorded_before else None,
    )


def _scope(actor: Actor, merchant_id: str | None) -> str | None:
    """Return whose rows are read: None, every merchant's, for platform staff that name none.

    Raises:
        NotFound: a merchant's principal names another merchant.
    """
    return None if actor.is_platform and merchant_id is None else actor.merchant_for(merchant_id)
