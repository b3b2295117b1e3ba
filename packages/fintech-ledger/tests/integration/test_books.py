"""Balances are sums over transfers; a merchant's reads never reach another merchant's rows."""

import pytest
from fintech_kernel.contracts.accounts import (
    bank_account,
    fees_account,
    merchant_account,
    processor_account,
    settlement_account,
)
from fintech_kernel.errors import NotFound
from fintech_kernel.testing.clocks import FrozenClock
from fintech_ledger.domain.books import Books, TransferFilter

pytestmark = pytest.mark.anyio

NOW = 1_000_000
ALL = TransferFilter()


@pytest.fixture
def books(database) -> Books:
    return Books(database=database, clock=FrozenClock(NOW))


async def _sale(world, amount: int, fee: int, *, available_on: int = NOW) -> None:
    await world.post(
        world.credit(amount, available_on=available_on),
        world.leg(
            world.account,
            fees_account("KES"),
            fee,
            leg="fee",
            kind="Fee",
            available_on=available_on,
        ),
    )


async def test_pending_and_available_are_told_apart_by_time(world, books):
    await _sale(world, 1000, 30)
    await _sale(world, 500, 15, available_on=NOW + 1)

    found = await books.account(world.account, merchant_id=world.merchant_id)

    assert (found.balance, found.available, found.pending) == (1455, 970, 485)


async def test_what_a_settlement_took_is_in_settlement_until_it_is_paid(world, books):
    settling = settlement_account(world.settlement_id, "KES")
    await _sale(world, 1000, 30)
    await world.post(world.leg(world.account, settling, 970, kind="Settlement"))

    taken = await books.account(world.account, merchant_id=world.merchant_id)
    await world.post(world.leg(settling, bank_account("KES"), 970, kind="Payout"))
    paid = await books.account(world.account, merchant_id=world.merchant_id)

    assert (taken.available, taken.in_settlement) == (0, 970)
    assert (paid.available, paid.in_settlement) == (0, 0)


async def test_a_balance_may_be_negative(world, books):
    await world.post(world.debit(400))

    assert (await books.account(world.account, merchant_id=world.merchant_id)).available == -400


async def test_another_merchants_account_is_not_found(world, books):
    await _sale(world, 1000, 30)

    with pytest.raises(NotFound):
        await books.account(world.account, merchant_id="mer_other")


@pytest.mark.parametrize("name", [bank_account("KES"), fees_account("KES")])
async def test_the_platforms_accounts_are_not_found_by_a_merchant(world, books, name):
    await _sale(world, 1000, 30)

    with pytest.raises(NotFound):
        await books.account(name, merchant_id=world.merchant_id)


@pytest.mark.parametrize("name", ["nonsense", "assets:bank:JPY", "liabilities:merchant:x:JPY"])
async def test_accounts_that_nothing_was_posted_to_are_not_found(books, name):
    with pytest.raises(NotFound):
        await books.account(name, merchant_id=None)


async def test_a_merchant_lists_its_own_accounts_by_currency(world, books):
    euros = merchant_account(world.merchant_id, "EUR")
    await _sale(world, 1000, 30)
    await world.post(
        world.leg(processor_account("sandbox", "EUR"), euros, 7, currency="EUR"),
    )

    first = await books.accounts(merchant_id=world.merchant_id, after="", limit=1)
    second = await books.accounts(merchant_id=world.merchant_id, after=euros, limit=10)

    assert [(one.account.name, one.balance) for one in first] == [(euros, 7)]
    assert [(one.account.name, one.balance) for one in second] == [(world.account, 970)]


async def test_the_platform_lists_all_accounts_by_name(world, books):
    await _sale(world, 1000, 30)

    found = await books.accounts(merchant_id=None, after="", limit=1000)
    behind = await books.accounts(merchant_id=None, after=found[0].account.name, limit=1000)

    names = [one.account.name for one in found]
    assert names == sorted(names)
    assert world.account in names
    assert fees_account("KES") in names
    assert [one.account.name for one in behind] == names[1:]


async def test_the_trial_balance_is_zero_and_its_groups_are_the_chart(world, books):
    await _sale(world, 1000, 30)
    await world.post(world.leg(world.account, settlement_account("set_x", "KES"), 500))

    trials = await books.trial_balance()

    kes = next(trial for trial in trials if trial.currency == "KES")
    assert kes.difference == 0
    assert kes.debits > 0
    assert {"assets:processor", "income:fees", "liabilities:merchant"} <= {
        line.group.name for line in kes.lines
    }


async def test_transfers_come_newest_first_and_in_pages_without_gaps(world, books):
    for moment in (1, 3, 2, 3):
        await world.post(world.credit(moment), at=moment)

    async def page(before):
        return await books.transfers(
            merchant_id=world.merchant_id, wanted=ALL, before=before, limit=2
        )

    first = await page(None)
    second = await page((first[-1].recorded_at, first[-1].transfer_id))
    third = await page((second[-1].recorded_at, second[-1].transfer_id))

    assert [one.recorded_at for one in (*first, *second)] == [3, 3, 2, 1]
    assert len({one.transfer_id for one in (*first, *second)}) == 4
    assert third == ()


async def test_a_merchants_transfers_are_its_own(world, books):
    await _sale(world, 1000, 30)

    found = await books.transfers(merchant_id="mer_other", wanted=ALL, before=None, limit=10)

    assert found == ()


@pytest.mark.parametrize(
    ("wanted", "count"),
    [
        (TransferFilter(kind="Fee"), 1),
        (TransferFilter(kind="Nothing"), 0),
        (TransferFilter(account=fees_account("KES")), 1),
        (TransferFilter(currency="KES", reference="order-1"), 2),
        (TransferFilter(currency="EUR"), 0),
        (TransferFilter(subject_id="pay_nobody"), 0),
        (TransferFilter(recorded_from=NOW, recorded_before=NOW + 1), 2),
        (TransferFilter(recorded_from=NOW + 1), 0),
        (TransferFilter(recorded_before=NOW), 0),
    ],
)
async def test_transfers_are_narrowed_by_every_condition(world, books, wanted, count):
    await _sale(world, 1000, 30)

    found = await books.transfers(
        merchant_id=world.merchant_id, wanted=wanted, before=None, limit=10
    )

    assert len(found) == count
