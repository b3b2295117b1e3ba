"""What the rail says, does not say, or says late."""

import pytest
from fintech_dbclient import HttpDatabase
from fintech_kernel.contracts.payouts import RailCapabilities
from fintech_kernel.contracts.processors import Outcome
from fintech_kernel.errors import InvariantBroken
from fintech_kernel.money import Money
from fintech_settlements.infrastructure.rails.sandbox import SandboxRail

pytestmark = pytest.mark.anyio


async def pay(world, settlement, *, key="the-payout"):
    return await world.post(
        f"/{settlement['settlement_id']}/pay", {}, key=f"{key}-{settlement['settlement_id']}"
    )


@pytest.mark.parametrize("mood", ["lost", "slow", "never"])
async def test_without_an_answer_the_settlement_stays_paying_and_recovery_asks_again(
    scripted, mood
):
    settlement = await scripted.approved(2_500)
    scripted.rail.moods = [mood]
    waiting = await pay(scripted, settlement)
    assert (waiting.status_code, waiting.json()["code"]) == (503, "outcome_unknown")
    shown = (await scripted.get(f"/{settlement['settlement_id']}")).json()
    assert shown["status"] == "paying"
    scripted.clock.advance(seconds=60)
    await scripted.app.context.operations.recover()
    answer = await pay(scripted, settlement)
    assert answer.json()["status"] == "paid"
    assert answer.headers["Idempotent-Replayed"] == "true"
    assert len(set(scripted.rail.calls)) == 1
    assert scripted.rail.paid == [
        (
            scripted.merchant_id,
            Money(amount=2_500, currency="KES"),
            settlement["batch_number"],
        )
    ]


async def test_while_it_is_paying_nothing_else_can_happen_to_a_settlement(scripted):
    settlement = await scripted.approved(2_500)
    scripted.rail.moods = ["never"]
    await pay(scripted, settlement)
    path = f"/{settlement['settlement_id']}"
    codes = [
        (await scripted.post(f"{path}/{verb}", {})).json()["code"]
        for verb in ("approve", "pay", "cancel")
    ]
    assert codes == ["settlement_not_open", "settlement_not_approved", "settlement_not_cancelable"]


async def test_when_the_rail_may_have_forgotten_the_key_its_books_are_read_and_nothing_is_sent(
    scripted,
):
    settlement = await scripted.approved(2_500)
    scripted.rail.moods = ["lost"]
    await pay(scripted, settlement)
    scripted.clock.advance(seconds=541)  # retention 600 less in-flight 60
    await scripted.app.context.operations.recover()
    (key,) = scripted.rail.calls
    assert scripted.rail.queries.count(key) == 1
    assert (await pay(scripted, settlement)).json()["status"] == "paid"


async def test_not_found_is_no_answer(scripted):
    settlement = await scripted.approved(2_500)
    scripted.rail.moods = ["never"]
    await pay(scripted, settlement)
    scripted.clock.advance(seconds=10_000)
    assert (await pay(scripted, settlement)).status_code == 503
    assert len(scripted.rail.calls) == 1
    shown = (await scripted.get(f"/{settlement['settlement_id']}")).json()
    assert shown["status"] == "paying"


async def test_a_rail_that_forgets_at_once_is_asked_but_never_sent_to(scripted):
    scripted.rail.capabilities = RailCapabilities(
        key_retention_seconds=60, in_flight_limit_seconds=60
    )
    settlement = await scripted.approved(2_500)
    assert (await pay(scripted, settlement)).status_code == 503
    assert scripted.rail.calls == []


@pytest.fixture
async def sandbox(anyio_backend, world, service, frozen_clock):
    async with HttpDatabase(service) as database:
        yield SandboxRail(database, frozen_clock)


def payout(key: str, amount: int = 100):
    return {
        "key": key,
        "merchant_id": "mer_1",
        "amount": Money(amount=amount, currency="KES"),
        "batch_number": "STL1",
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


async def test_the_sandbox_stops_at_another_payout_under_a_known_key(sandbox, world):
    key = f"{world.merchant_id}:other"
    await sandbox.pay(**payout(key))
    with pytest.raises(InvariantBroken):
        await sandbox.pay(**payout(key, 101))


async def test_the_sandbox_says_unknown_when_its_books_are_out_of_reach(frozen_clock):
    async with HttpDatabase("http://127.0.0.1:1", timeout_seconds=0.2) as nowhere:
        rail = SandboxRail(nowhere, frozen_clock)
        assert (await rail.pay(**payout("any"))).outcome is Outcome.UNKNOWN
        answer = await rail.query(key="any")
        assert answer is not None
        assert answer.outcome is Outcome.UNKNOWN
