"""Balances at the end of past days: of the day's close, or computed where there is none."""

import pytest
from fintech_kernel.contracts.accounts import bank_account, settlement_account
from fintech_kernel.errors import InvalidRequest, NotFound

pytestmark = pytest.mark.anyio

NOW = 1_000_000
DAY = 86_400_000
FIRST, SECOND = "1970-01-01", "1970-01-02"


async def at(book, day: str, name: str | None = None):
    return await book.books.account_at(
        name or book.account, period=day, merchant_id=book.merchant_id
    )


@pytest.fixture
async def days(book):
    """Two days that ended, each with a sale of its own; the first has a payout under way."""
    settling = settlement_account(book.settlement_id, "KES")
    await book.post(book.credit(1000), book.credit(40, leg="later", available_on=DAY + 50))
    await book.post(book.leg(book.account, settling, 600, kind="Settlement"))
    await book.post(book.credit(9), at=DAY + 5)
    await book.post(book.leg(settling, bank_account("KES"), 600, kind="Payout"), at=DAY + 6)
    book.clock.advance(days=3)
    return book


@pytest.mark.parametrize("is_closed", [True, False])
async def test_a_past_day_has_pending_available_and_in_settlement(days, is_closed):
    if is_closed:
        await days.fold(DAY, period=FIRST)
        await days.fold(2 * DAY, period=SECOND)

    first, second = await at(days, FIRST), await at(days, SECOND)

    assert (first.fold is not None, second.fold is not None) == (is_closed, is_closed)
    told = [
        (one.balance.balance, one.balance.pending, one.balance.available, one.balance.in_settlement)
        for one in (first, second)
    ]
    assert told == [(440, 40, 400, 600), (449, 0, 449, 0)]


async def test_a_late_posting_changes_no_close_and_is_in_the_next(days):
    await days.fold(DAY, period=FIRST)
    await days.post(days.credit(5), at=NOW + 1)
    open_day = await at(days, SECOND)
    await days.fold(2 * DAY, period=SECOND)

    assert (await at(days, FIRST)).balance.balance == 440
    assert open_day.balance.balance == (await at(days, SECOND)).balance.balance == 454


async def test_a_day_before_the_first_close_is_computed(days):
    await days.fold(2 * DAY, period=SECOND)

    found = await at(days, FIRST)

    assert (found.fold, found.balance.balance) == (None, 440)


async def test_an_account_without_postings_by_then_is_not_found(days):
    with pytest.raises(NotFound):
        await at(days, "1969-12-31")


@pytest.mark.parametrize("day", ["1970-01-05", "2026-02-30", "yesterday"])
async def test_only_days_that_have_ended_have_an_end(days, day):
    with pytest.raises(InvalidRequest):
        await at(days, day)


async def test_the_platforms_accounts_have_past_days_too(days):
    await days.fold(DAY, period=FIRST)

    found = await days.books.account_at(days.processor, period=FIRST, merchant_id=None)

    assert (found.balance.balance, found.balance.in_settlement) == (1040, None)


async def test_another_merchants_past_is_not_found(days):
    with pytest.raises(NotFound):
        await days.books.account_at(days.account, period=FIRST, merchant_id="mer_other")


async def test_lists_of_accounts_hold_folded_and_open_ones_in_order_and_pages(days):
    await days.fold(2 * DAY)
    await days.post(days.leg("suspense:reconciliation:KES", bank_account("KES"), 3))

    whole = await days.books.accounts(merchant_id=None, after="", limit=100)
    pages = []
    after = ""
    while page := await days.books.accounts(merchant_id=None, after=after, limit=2):
        pages += page
        after = page[-1].account.name

    names = [one.account.name for one in whole]
    assert names == sorted(names)
    assert len(names) == 5
    assert pages == list(whole)


async def test_a_transfer_of_a_prior_period_is_marked_in_lists(days):
    from fintech_ledger.domain.books import TransferFilter

    await days.fold(DAY, period=FIRST)
    late = await days.post(days.credit(5), at=NOW + 1)
    await days.fold(2 * DAY, period=SECOND)

    found = await days.books.transfers(
        merchant_id=days.merchant_id, wanted=TransferFilter(), before=None, limit=100
    )

    assert [one.operation_id for one in found if one.is_prior_period] == [late]
