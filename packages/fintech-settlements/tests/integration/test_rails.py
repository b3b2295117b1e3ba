"""What the rail says, does not say, or says late; what people say instead."""

import pytest
from fintech_dbclient import HttpDatabase
from fintech_kernel.contracts.accounts import bank_account
from fintech_kernel.contracts.merchants import MerchantStatus
from fintech_kernel.contracts.payouts import RailCapabilities
from fintech_kernel.contracts.processors import Outcome
from fintech_kernel.money import Money
from fintech_settlements.infrastructure.rails.letters import PayoutLetters
from fintech_settlements.infrastructure.rails.sandbox import BEHAVIOURS, SandboxRail

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("no_pauses")]

WAIT_SECONDS = 60 + 900 + 1
"""The scripted rail's in-flight limit, and how far clocks may be apart."""


async def pay(world, settlement, *, key="the-payout"):
    return await world.post(
        f"/{settlement['settlement_id']}/pay", {}, key=f"{key}-{settlement['settlement_id']}"
    )


async def say(world, settlement, what, body, *, by="ann"):
    return await world.post(f"/{settlement['settlement_id']}/{what}", body, by=by)


async def shown(world, settlement):
    return (await world.get(f"/{settlement['settlement_id']}")).json()


async def waiting(world, *amounts, mood="never"):
    """Return a settlement whose payout has no outcome yet."""
    settlement = await world.approved(*amounts)
    world.rail.moods = [mood] * 4  # the first call, and those that repeat it at once
    answer = await pay(world, settlement)
    assert (answer.status_code, answer.json()["payout_outcome"]) == (202, "open"), answer.text
    world.rail.moods = []
    return settlement


async def given_up(world, *amounts, mood="never"):
    """Return a settlement that two people failed."""
    settlement = await waiting(world, *amounts, mood=mood)
    reason = {"reason": "the bank knows nothing of it"}
    assert (await say(world, settlement, "fail", reason, by="ann")).status_code == 202
    world.clock.advance(seconds=WAIT_SECONDS)
    failed = await say(world, settlement, "fail", reason, by="ben")
    assert (failed.status_code, failed.json()["status"]) == (200, "failed"), failed.text
    return settlement


async def test_an_answer_that_was_lost_is_asked_for_again_at_once(scripted):
    settlement = await scripted.approved(2_500)
    scripted.rail.moods = ["lost"]
    answer = await pay(scripted, settlement)
    assert (answer.status_code, answer.json()["status"]) == (200, "paid")
    assert len(set(scripted.rail.calls)) == 1
    assert scripted.rail.paid == [
        (
            scripted.merchant_id,
            Money(amount=2_500, currency="KES"),
            settlement["batch_number"],
        )
    ]


@pytest.mark.parametrize("mood", ["never", "slow"])
async def test_without_an_answer_the_payout_stays_open_and_the_resolver_learns_it(scripted, mood):
    settlement = await waiting(scripted, 2_500, mood=mood)
    key = scripted.rail.calls[0]
    if mood == "slow":
        scripted.rail.decide(key, Outcome.APPROVED)
    scripted.clock.advance(seconds=60)
    await scripted.run_job("resolve")
    assert (await shown(scripted, settlement))["status"] == "paid"
    assert [amount.amount for _, amount, _ in scripted.rail.paid].count(2_500) <= 1
    repeated = await pay(scripted, settlement)
    assert (repeated.status_code, repeated.headers["Idempotent-Replayed"]) == (202, "true")


async def test_a_late_refusal_gives_the_money_back(scripted):
    settlement = await waiting(scripted, 2_500, mood="slow")
    scripted.rail.decide(scripted.rail.calls[0], Outcome.DECLINED, failure_code="account_closed")
    scripted.clock.advance(seconds=60)
    await scripted.run_job("resolve")
    after = await shown(scripted, settlement)
    assert (after["status"], after["failure_code"]) == ("failed", "account_closed")
    assert await scripted.books.balance(scripted.account) == 2_500


async def test_a_rail_is_asked_ever_more_rarely(scripted):
    await waiting(scripted, 2_500, mood="slow")
    key = scripted.rail.calls[0]
    for seconds, asked in ((14, 0), (1, 1), (14, 0), (1, 1)):
        before = scripted.rail.queries.count(key)
        scripted.clock.advance(seconds=seconds)
        await scripted.run_job("resolve")
        assert scripted.rail.queries.count(key) - before == asked


async def test_while_it_is_paying_nothing_else_can_happen_to_a_settlement(scripted):
    settlement = await waiting(scripted, 2_500)
    codes = [
        (await say(scripted, settlement, verb, {})).json()["code"]
        for verb in ("approve", "pay", "cancel")
    ]
    assert codes == ["settlement_not_open", "settlement_not_approved", "settlement_not_cancelable"]


async def test_when_the_rail_may_have_forgotten_the_key_its_books_are_read_and_nothing_is_sent(
    scripted,
):
    settlement = await waiting(scripted, 2_500)
    key = scripted.rail.calls[0]
    sent = scripted.rail.calls.count(key)
    scripted.clock.advance(seconds=541)  # retention 600 less in-flight 60
    await scripted.run_job("resolve")
    assert scripted.rail.calls.count(key) == sent
    assert (await shown(scripted, settlement))["payout_outcome"] == "open"


async def test_a_rail_that_forgets_at_once_is_asked_but_never_sent_to(scripted):
    scripted.rail.capabilities = RailCapabilities(
        key_retention_seconds=60, in_flight_limit_seconds=60
    )
    settlement = await scripted.approved(2_500)
    assert (await pay(scripted, settlement)).status_code == 202
    assert scripted.rail.calls == []


# --- people


async def test_somebody_confirms_a_payout_with_the_banks_reference(scripted):
    before = await scripted.books.balance(bank_account("KES"))
    settlement = await waiting(scripted, 2_500)
    answer = await say(scripted, settlement, "confirm", {"bank_reference": "FT26334"}, by="cy")
    body = answer.json()
    assert (answer.status_code, body["status"], body["confirmed_by"]) == (200, "paid", "cy")
    assert body["rail_reference"] == "FT26334"
    assert await scripted.books.balance(bank_account("KES")) == before + 2_500
    again = await say(scripted, settlement, "confirm", {"bank_reference": "FT26334"}, by="cy")
    assert (again.status_code, again.json()["code"]) == (409, "settlement_not_paying")


async def test_two_people_give_a_payout_up_and_the_rail_is_not_sent_to_again(scripted):
    settlement = await waiting(scripted, 2_500)
    key = scripted.rail.calls[0]
    sent = scripted.rail.calls.count(key)
    reason = {"reason": "no such order"}
    first = await say(scripted, settlement, "fail", reason, by="ann")
    assert (first.status_code, first.json()["failure_requested_by"]) == (202, "ann")
    scripted.clock.advance(seconds=30)
    await scripted.run_job("resolve")
    assert scripted.rail.calls.count(key) == sent
    early = await say(scripted, settlement, "fail", reason, by="ben")
    assert (early.status_code, early.json()["code"]) == (409, "failure_too_early")
    scripted.clock.advance(seconds=WAIT_SECONDS)
    same = await say(scripted, settlement, "fail", reason, by="ann")
    assert (same.status_code, same.json()["code"]) == (403, "failure_needs_second_person")
    agreed = await say(scripted, settlement, "fail", reason, by="ben")
    assert (agreed.json()["status"], agreed.json()["failure_code"]) == ("failed", "given_up")
    assert await scripted.books.balance(scripted.account) == 2_500


async def test_who_gives_up_a_payout_that_the_rail_has_decided_gets_the_rails_answer(scripted):
    settlement = await waiting(scripted, 2_500, mood="slow")
    scripted.rail.decide(scripted.rail.calls[0], Outcome.APPROVED)
    answer = await say(scripted, settlement, "fail", {"reason": "never arrived"})
    assert (answer.status_code, answer.json()["status"]) == (200, "paid")


async def test_what_is_paid_after_two_people_gave_it_up_is_owed_by_the_merchant(scripted):
    before = await scripted.books.balance(bank_account("KES"))
    settlement = await given_up(scripted, 2_500, mood="slow")
    scripted.rail.decide(scripted.rail.calls[0], Outcome.APPROVED)
    scripted.clock.advance(seconds=86_400)
    await scripted.run_job("resolve")
    await scripted.run_job("resolve")
    after = await shown(scripted, settlement)
    assert (after["status"], after["paid_after_failure"]) == ("failed", True)
    assert await scripted.books.balance(scripted.account) == 0
    assert await scripted.books.balance(bank_account("KES")) == before + 2_500
    await scripted.app.deliver_events()
    assert any('"alarm":true' in line.replace(" ", "") for line in scripted.app.lines)
    following = await scripted.opened(100)
    assert (following["total"], following["line_count"]) == (100, 3)


async def test_what_the_rail_refuses_behind_a_confirmation_is_an_alarm_and_may_be_returned(
    scripted,
):
    settlement = await waiting(scripted, 2_500, mood="slow")
    await say(scripted, settlement, "confirm", {"bank_reference": "FT1"})
    scripted.rail.decide(scripted.rail.calls[0], Outcome.DECLINED, failure_code="account_closed")
    scripted.clock.advance(seconds=86_400)
    await scripted.run_job("resolve")
    assert (await shown(scripted, settlement))["status"] == "paid"
    await scripted.app.deliver_events()
    assert any("settlement.payout_contradicted" in line for line in scripted.app.lines)
    back = {"return_code": "account_closed", "bank_reference": "FT2"}
    returned = await say(scripted, settlement, "return", back)
    assert returned.json()["status"] == "returned"
    assert await scripted.books.balance(scripted.account) == 2_500


async def test_a_return_is_a_line_of_the_next_settlement_and_happens_once(world):
    settlement = await world.approved(2_500)
    back = {"return_code": "account_closed", "bank_reference": "FT2"}
    too_early = await say(world, settlement, "return", back)
    assert (too_early.status_code, too_early.json()["code"]) == (409, "settlement_not_paid")
    await pay(world, settlement)
    returned = (await say(world, settlement, "return", back)).json()
    assert (returned["status"], returned["return_code"]) == ("returned", "account_closed")
    again = await say(world, settlement, "return", back)
    assert (again.status_code, again.json()["code"]) == (409, "settlement_not_paid")
    following = (await world.create()).json()
    lines = (await world.get(f"/{following['settlement_id']}/lines")).json()["data"]
    assert [(line["type"], line["net_credit"]) for line in lines] == [("PayoutFailed", 2_500)]


async def test_a_merchant_that_was_suspended_meanwhile_is_not_paid(world):
    settlement = await world.approved(2_500)
    world.change_merchant(status=MerchantStatus.SUSPENDED)
    refused = await pay(world, settlement)
    assert (refused.status_code, refused.json()["code"]) == (409, "merchant_held")


@pytest.fixture
async def sandbox(anyio_backend, world, service, frozen_clock):
    async with HttpDatabase(service) as database:
        letters = PayoutLetters(rail="sandbox", keyring=world.app.context.keyring)
        yield SandboxRail(database, frozen_clock, letters, late_seconds=3)


def payout(key: str, amount: int = 100):
    return {
        "key": key,
        "merchant_id": "mer_1",
        "amount": Money(amount=amount, currency="KES"),
        "batch_number": "STL1",
        "bank_account_id": "",
    }


async def test_one_key_of_the_sandbox_has_one_final_answer(sandbox, world):
    key = f"{world.merchant_id}:once"
    assert await sandbox.query(key=key) is None
    first = await sandbox.pay(**payout(key))
    assert first.outcome is Outcome.APPROVED
    assert await sandbox.pay(**payout(key)) == first
    assert await sandbox.query(key=key) == first


async def test_the_sandbox_refuses_the_documented_amounts_for_good(sandbox, world):
    key = f"{world.merchant_id}:refused"
    first = await sandbox.pay(**payout(key, 1_313))
    assert (first.outcome, first.failure_code) == (Outcome.DECLINED, "account_closed")
    assert await sandbox.query(key=key) == first


async def test_the_sandbox_knows_nothing_of_another_payout_under_a_known_key(sandbox, world):
    key = f"{world.merchant_id}:other"
    await sandbox.pay(**payout(key))
    assert (await sandbox.pay(**payout(key, 101))).outcome is Outcome.UNKNOWN


async def test_the_sandbox_answers_late_where_the_amount_says_so(sandbox, world, frozen_clock):
    for ending in (19, 23, 29):
        key = f"{world.merchant_id}:late{ending}"
        assert (await sandbox.pay(**payout(key, 100 + ending))).outcome is Outcome.PENDING
    frozen_clock.advance(seconds=3)
    for ending in (19, 23, 29):
        answer = await sandbox.query(key=f"{world.merchant_id}:late{ending}")
        assert answer.outcome is BEHAVIOURS[ending].outcome


@pytest.mark.parametrize(
    ("amount", "status", "letters"),
    [(5_017, "returned", 1), (5_019, "paid", 1), (5_023, "failed", 1), (5_029, "paid", 2)],
)
async def test_what_the_sandbox_tells_later_ends_the_settlement_once(
    world, amount, status, letters
):
    settlement = await world.approved(amount)
    await pay(world, settlement)
    world.clock.advance(seconds=5)
    for _ in range(letters + 1):
        await world.run_job("sandbox.callbacks")
    assert (await shown(world, settlement))["status"] == status
    left = await world.books.rows(
        "SELECT letters_left FROM settlements_sandbox_payouts WHERE batch_number = ?",
        settlement["batch_number"],
    )
    assert left == [{"letters_left": 0}]
    owed = await world.books.balance(world.account)
    assert owed == (0 if status == "paid" else amount)


async def test_a_payout_whose_first_answer_is_lost_is_paid_once(world):
    settlement = await world.approved(5_031)
    answer = await pay(world, settlement)
    assert (answer.status_code, answer.json()["status"]) == (200, "paid")


async def test_a_callback_that_the_sandbox_did_not_sign_is_rejected(world):
    forged = await world.app.client.post("/v1/settlements/callbacks/sandbox", json={"type": "x"})
    assert (forged.status_code, forged.json()["code"]) == (401, "callback_rejected")
    nobody = await world.app.client.post("/v1/settlements/callbacks/pigeon", json={})
    assert nobody.status_code == 404


async def test_a_callback_of_a_payout_that_does_not_stand_is_sent_again(world):
    letters = PayoutLetters(rail="sandbox", keyring=world.app.context.keyring)
    told = {
        "type": "payout.returned",
        "event_id": "e1",
        "key": "op_1:pay",
        "batch_number": "STL7ZZZZZZZZZABSENTZZZZZZZZZZ",
        "return_code": "account_closed",
    }
    headers, body = letters.write(told, now=world.clock.now_milliseconds())
    path = "/v1/settlements/callbacks/sandbox"
    answer = await world.app.client.post(path, content=body, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (503, "payout_callback_too_early")
    old, _ = letters.write(told, now=0)
    stale = await world.app.client.post(path, content=body, headers=old)
    assert stale.status_code == 401


async def test_the_sandbox_says_unknown_when_its_books_are_out_of_reach(world, frozen_clock):
    async with HttpDatabase("http://127.0.0.1:1", timeout_seconds=0.2) as nowhere:
        letters = PayoutLetters(rail="sandbox", keyring=world.app.context.keyring)
        rail = SandboxRail(nowhere, frozen_clock, letters, late_seconds=3)
        assert (await rail.pay(**payout("any"))).outcome is Outcome.UNKNOWN
        answer = await rail.query(key="any")
        assert answer is not None
        assert answer.outcome is Outcome.UNKNOWN
