"""Every call to the database is lost once, before and after it was done; the books stay right."""

import pytest
from fintech_kernel.contracts.accounts import settlement_account

pytestmark = pytest.mark.anyio

CALLS_MAX = 40


async def driven(world, database, request, *, dies_at, after):
    """Make a request whose call number ``dies_at`` is lost, let recovery work, then repeat it."""
    database.count, database.dies_at, database.after = 0, dies_at, after
    database.has_died = False
    await request()
    died, database.dies_at = database.has_died, None
    await world.recover()
    return died, await request()


async def check_books(world, settlement, *, amounts, paid):
    lines = await world.books.rows(
        "SELECT l.amount AS amount FROM books_lines l WHERE l.settlement_id = ? AND l.marker = 0",
        settlement["settlement_id"],
    )
    assert sorted(line["amount"] for line in lines) == sorted(amounts)
    assert settlement["total"] == sum(amounts)
    assert await world.books.balance(world.account) == 0
    own = settlement_account(settlement["settlement_id"], "KES")
    assert await world.books.balance(own) == (0 if paid else sum(amounts))
    payouts = await world.books.rows(
        "SELECT amount FROM settlements_sandbox_payouts WHERE batch_number = ?",
        settlement["batch_number"],
    )
    assert payouts == ([{"amount": sum(amounts)}] if paid else [])
    shown = await world.get(f"/{settlement['settlement_id']}")
    assert shown.json() == settlement


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_a_creation_that_loses_any_call_ends_as_one_settlement(dying, after):
    world, database = dying
    for dies_at in range(1, CALLS_MAX):
        world.merchant_id = world.new_merchant()
        amounts = [1_000, 700, -200, 50, 5]
        await world.owe(*amounts)

        async def create(key=f"key-{world.merchant_id}"):
            return await world.create(key=key)

        died, answer = await driven(world, database, create, dies_at=dies_at, after=after)
        assert answer.status_code == 201, answer.text
        await check_books(world, answer.json(), amounts=amounts, paid=False)
        if not died:
            return
    pytest.fail("a creation takes more calls than this test covers")


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_a_payout_that_loses_any_call_is_paid_once(dying, after):
    world, database = dying
    for dies_at in range(1, CALLS_MAX):
        world.merchant_id = world.new_merchant()
        settlement = await world.approved(1_000, 500)

        async def pay(path=f"/{settlement['settlement_id']}/pay", key=f"pay-{world.merchant_id}"):
            return await world.post(path, {}, key=key)

        died, answer = await driven(world, database, pay, dies_at=dies_at, after=after)
        assert answer.status_code == 200, answer.text
        assert answer.json()["status"] == "paid"
        await check_books(world, answer.json(), amounts=[1_000, 500], paid=True)
        if not died:
            return
    pytest.fail("a payout takes more calls than this test covers")


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_a_cancellation_that_loses_any_call_gives_the_money_back_once(dying, after):
    world, database = dying
    for dies_at in range(1, CALLS_MAX):
        world.merchant_id = world.new_merchant()
        settlement = await world.opened(1_000)

        async def cancel(
            path=f"/{settlement['settlement_id']}/cancel", key=f"cancel-{world.merchant_id}"
        ):
            return await world.post(path, {}, key=key)

        died, answer = await driven(world, database, cancel, dies_at=dies_at, after=after)
        assert answer.json()["status"] == "canceled", answer.text
        assert await world.books.balance(world.account) == 1_000
        if not died:
            return
    pytest.fail("a cancellation takes more calls than this test covers")


async def test_a_carry_over_that_loses_any_call_is_carried_once(dying):
    world, database = dying
    for dies_at in range(1, CALLS_MAX):
        world.merchant_id = world.new_merchant()
        await world.owe(100, -300)

        async def create(key=f"key-{world.merchant_id}"):
            return await world.create(key=key)

        died, answer = await driven(world, database, create, dies_at=dies_at, after=True)
        assert answer.json()["close_reason"] == "carried_forward", answer.text
        assert await world.books.balance(world.account) == -200
        own = settlement_account(answer.json()["settlement_id"], "KES")
        assert await world.books.balance(own) == 0
        if not died:
            return
    pytest.fail("a creation takes more calls than this test covers")
