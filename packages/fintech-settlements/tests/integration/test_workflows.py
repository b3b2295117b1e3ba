"""Settlements from claim to payout, on the real database service."""

import asyncio

import pytest
from fintech_kernel.contracts.accounts import bank_account, settlement_account
from fintech_kernel.contracts.merchants import MerchantStatus

pytestmark = pytest.mark.anyio


async def own_balance(world, settlement) -> int:
    return await world.books.balance(settlement_account(settlement["settlement_id"], "KES"))


async def test_a_settlement_claims_every_due_line_and_moves_their_sum(world):
    await world.owe(1_000, 2_000, 500, -300, 4_000, 10, 20)
    settlement = (await world.create()).json()
    assert (settlement["status"], settlement["total"]) == ("open", 7_230)
    assert settlement["line_count"] == 7
    assert await world.books.balance(world.account) == 0
    assert await own_balance(world, settlement) == 7_230


async def test_lines_that_are_not_available_by_the_cutoff_are_left_to_the_next(world):
    await world.owe(1_000)
    world.clock.advance(seconds=60)
    await world.owe(500)
    first = (await world.create(cutoff="2025-10-09T08:53:30Z")).json()
    second = (await world.create()).json()
    assert (first["total"], second["total"]) == (1_000, 500)


async def test_a_paid_settlement_leaves_the_bank_once(world):
    before = await world.books.balance(bank_account("KES"))
    settlement = await world.approved(2_500)
    answer = await world.post(f"/{settlement['settlement_id']}/pay", {})
    assert (answer.status_code, answer.json()["status"]) == (200, "paid")
    assert answer.json()["rail_reference"].startswith("sbx_")
    assert await own_balance(world, settlement) == 0
    assert await world.books.balance(bank_account("KES")) == before + 2_500


async def test_a_failed_payout_is_a_line_of_the_next_settlement(world):
    settlement = await world.approved(5_013)
    failed = (await world.post(f"/{settlement['settlement_id']}/pay", {})).json()
    assert (failed["status"], failed["failure_code"]) == ("failed", "account_closed")
    assert await own_balance(world, settlement) == 0
    await world.owe(7)
    following = (await world.create()).json()
    lines = (await world.get(f"/{following['settlement_id']}/lines")).json()["data"]
    assert following["total"] == 5_020
    assert {line["type"]: line["net_credit"] for line in lines} == {
        "PayoutFailed": 5_013,
        "Settled": 7,
    }
    returned = next(line for line in lines if line["type"] == "PayoutFailed")
    assert (returned["payment_id"], returned["reference"]) == (None, settlement["batch_number"])


async def test_a_canceled_settlement_gives_its_money_back(world):
    settlement = await world.approved(900)
    canceled = await world.post(f"/{settlement['settlement_id']}/cancel", {})
    assert canceled.json()["status"] == "canceled"
    assert await world.books.balance(world.account) == 900
    again = (await world.create()).json()
    assert (again["total"], again["line_count"]) == (900, 1)


async def test_a_negative_total_is_carried_forward_in_the_same_insert(world):
    settlement = await world.opened(1_000, -1_400)
    assert (settlement["status"], settlement["close_reason"]) == ("closed", "carried_forward")
    assert (settlement["total"], settlement["carried"]) == (-400, -400)
    assert await own_balance(world, settlement) == 0
    assert await world.books.balance(world.account) == -400
    posted = await world.books.rows(
        "SELECT kind, operation_id FROM books_transfers WHERE subject_id = ? ORDER BY kind",
        settlement["settlement_id"],
    )
    assert [row["kind"] for row in posted] == ["Carryover", "Settlement"]
    assert len({row["operation_id"] for row in posted}) == 1


async def test_a_lone_carry_over_is_not_settled_again(world):
    await world.opened(-400)
    refused = await world.create()
    assert (refused.status_code, refused.json()["code"]) == (409, "nothing_due")
    following = await world.opened(1_000)
    assert (following["total"], following["line_count"]) == (600, 2)


async def test_a_total_below_the_minimum_waits_until_it_is_reached(world):
    world.change_merchant(settlement_minimum=1_000)
    small = await world.opened(999)
    assert (small["status"], small["carried"]) == ("closed", 999)
    enough = await world.opened(1)
    assert (enough["status"], enough["total"]) == ("open", 1_000)


async def test_a_total_of_zero_posts_nothing_and_closes(world):
    settlement = await world.opened(250, -250)
    assert (settlement["status"], settlement["close_reason"]) == ("closed", "zero")
    posted = await world.books.rows(
        "SELECT kind FROM books_transfers WHERE subject_id = ?", settlement["settlement_id"]
    )
    assert posted == []
    assert (await world.create()).json()["code"] == "nothing_due"


@pytest.mark.parametrize("status", [MerchantStatus.PENDING, MerchantStatus.SUSPENDED])
async def test_a_held_merchant_is_refused_before_anything_is_claimed(world, status):
    await world.owe(1_000)
    world.change_merchant(status=status)
    refused = await world.create(key=f"held-{world.merchant_id}")
    assert (refused.status_code, refused.json()["code"]) == (409, "merchant_held")
    world.change_merchant(status=MerchantStatus.ACTIVE)
    repeated = await world.create(key=f"held-{world.merchant_id}")
    assert repeated.json()["code"] == "merchant_held"
    assert repeated.headers["Idempotent-Replayed"] == "true"
    assert (await world.create()).json()["total"] == 1_000


async def test_a_closed_merchant_is_still_paid_what_it_is_owed(world):
    world.change_merchant(status=MerchantStatus.CLOSED)
    assert (await world.opened(1_000))["status"] == "open"


async def test_a_cutoff_in_the_future_is_refused(world):
    await world.owe(1_000)
    refused = await world.create(cutoff="2999-01-01T00:00:00Z")
    assert (refused.status_code, refused.json()["code"]) == (422, "cutoff_in_future")


async def test_rival_creations_never_share_a_line(world):
    await world.owe(*range(1, 41))
    answers = await asyncio.gather(*(world.create(by=f"rival{n}") for n in range(6)))
    settled = [answer.json() for answer in answers if answer.status_code == 201]
    assert sum(one["total"] for one in settled) == sum(range(1, 41))
    assert sum(one["line_count"] for one in settled) == 40
    assert await world.books.balance(world.account) == 0


async def test_rival_payments_pay_once(world):
    settlement = await world.approved(2_500)
    path = f"/{settlement['settlement_id']}/pay"
    answers = await asyncio.gather(*(world.post(path, {}, by=f"rival{n}") for n in range(6)))
    codes = sorted(answer.status_code for answer in answers)
    assert codes == [200, 409, 409, 409, 409, 409]
    paid = await world.books.rows(
        "SELECT amount FROM settlements_sandbox_payouts WHERE batch_number = ?",
        settlement["batch_number"],
    )
    assert paid == [{"amount": 2_500}]


async def test_approval_and_cancellation_do_not_both_win(world):
    settlement = await world.opened(2_500)
    path = f"/{settlement['settlement_id']}"
    await asyncio.gather(world.post(f"{path}/approve", {}), world.post(f"{path}/cancel", {}))
    state = (await world.get(path)).json()["status"]
    balance = await world.books.balance(world.account)
    assert (state, balance) in {("canceled", 2_500), ("approved", 0)}


async def test_above_the_limit_the_payer_is_not_the_approver(strict):
    small = await strict.approved(1_000, by="ann")
    assert (await strict.post(f"/{small['settlement_id']}/pay", {}, by="ann")).status_code == 200
    large = await strict.approved(1_001, by="ann")
    refused = await strict.post(f"/{large['settlement_id']}/pay", {}, by="ann")
    assert (refused.status_code, refused.json()["code"]) == (403, "second_person_required")
    assert (await strict.post(f"/{large['settlement_id']}/pay", {}, by="ben")).status_code == 200


async def test_the_list_follows_the_journal_when_a_read_model_was_lost(world):
    settlement = await world.opened(2_500)
    await world.books.rows(
        "UPDATE settlements_settlements SET seq = 0, status = 'lost' WHERE settlement_id = ?",
        settlement["settlement_id"],
    )
    await world.app.deliver_events()
    listed = (await world.get(f"?merchant_id={world.merchant_id}")).json()["data"]
    assert listed == [settlement]
    found = await world.get(f"?merchant_id={world.merchant_id}&status=open")
    assert found.json()["data"] == [settlement]
