"""Disputes: opened and closed by operators over HTTP, and by processors through callbacks."""

import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, cast

import httpx
import pytest
from fintech_kernel.contracts.ledger import Ledger
from fintech_kernel.money import Money
from fintech_kernel.testing import ledger as test_ledger
from fintech_kernel.testing.apps import RunningApp, running_app
from fintech_kernel.testing.clocks import FrozenClock
from fintech_kernel.testing.ledger import PostingLedger
from fintech_kernel.web.app import Overrides
from fintech_payments import plugin
from fintech_payments.infrastructure.processors.books import Call
from fintech_payments.infrastructure.processors.letters import Letters

pytestmark = pytest.mark.anyio

MERCHANT = "mer_test"
FEE = 1_500
LATE_SECONDS = 3
MERCHANT_ACCOUNT = f"liabilities:merchant:{MERCHANT}:KES"
DISPUTES_ACCOUNT = f"liabilities:disputes:{MERCHANT}:KES"
PROCESSOR_ACCOUNT = "assets:processor:sandbox:KES"
FEES_ACCOUNT = "income:fees:KES"
ACCOUNTS = (MERCHANT_ACCOUNT, DISPUTES_ACCOUNT, PROCESSOR_ACCOUNT, FEES_ACCOUNT)


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """An app on a clock that stands still; a dispute costs 15 shillings."""

    app: RunningApp
    clock: FrozenClock

    @property
    def staff(self) -> dict[str, str]:
        return self.app.headers()

    @property
    def merchant(self) -> dict[str, str]:
        return self.app.headers(merchant_id=MERCHANT)

    async def post(
        self, path: str, body: dict[str, Any], *, key: str = "", staff: bool = True
    ) -> httpx.Response:
        headers = self.staff if staff else self.merchant
        return await self.app.post(path, body, key=key or uuid.uuid4().hex, headers=headers)

    async def paid(self, token: str = "", **changes: Any) -> str:
        token = token or "sandbox_approve"
        body = {
            "amount": 10_000,
            "currency": "KES",
            "payment_method": {"type": "card", "token": token},
            **changes,
        }
        answer = await self.post("/v1/payments", body, staff=False)
        assert answer.status_code == 201, answer.text
        return answer.json()["payment_id"]

    async def opened(self, payment_id: str, **changes: Any) -> dict[str, Any]:
        body = {"reason": "fraudulent", **changes}
        answer = await self.post(f"/v1/payments/{payment_id}/disputes", body)
        assert answer.status_code == 201, answer.text
        return answer.json()

    async def close(self, dispute: dict[str, Any], status: str) -> httpx.Response:
        path = f"/v1/payments/{dispute['payment_id']}/disputes/{dispute['dispute_id']}/close"
        return await self.post(path, {"status": status, "reason": "decided"})

    async def payment(self, payment_id: str) -> dict[str, Any]:
        path = f"/v1/payments/{payment_id}"
        return (await self.app.client.get(path, headers=self.merchant)).json()

    async def disputes(self, payment_id: str) -> list[dict[str, Any]]:
        path = f"/v1/payments/{payment_id}/disputes"
        return (await self.app.client.get(path, headers=self.merchant)).json()["data"]

    async def balances(self) -> dict[str, int]:
        ledger = cast("PostingLedger", self.app.context.services.get(Ledger))
        return {account: await ledger.balance(account) for account in ACCOUNTS}

    async def tell(self, **changes: Any) -> httpx.Response:
        """Send a callback that the sandbox's key signed, about a dispute."""
        call = Call(
            key=changes.pop("key"),
            processor="sandbox",
            payment_id=changes.pop("payment_id"),
            effect=changes.pop("effect", "dispute_open"),
            amount=changes.pop("amount"),
            token="",
            decline_code="",
        )
        letters = Letters(processor="sandbox", keyring=self.app.context.keyring)
        headers, body = letters.write(call, now=self.clock.now_milliseconds())
        path = "/v1/payments/callbacks/sandbox"
        return await self.app.client.post(path, content=body, headers=headers)

    async def deliver_callbacks(self) -> None:
        self.clock.advance(seconds=LATE_SECONDS)
        for job in plugin.fintech_jobs(self.app.context):
            if job.name == "payments.sandbox.callbacks":
                await job.run()


@pytest.fixture
async def world(database_url: str, anyio_backend: str) -> AsyncIterator[World]:
    clock = FrozenClock()
    async with running_app(
        database_url=database_url,
        plugins=[plugin, test_ledger],
        settings={
            "payments_without_merchants": True,
            "payments_dispute_fees": {"KES": FEE},
            "payments_sandbox_late_seconds": LATE_SECONDS,
        },
        overrides=Overrides(clock=clock),
    ) as app:
        yield World(app=app, clock=clock)


def kes(amount: int) -> Money:
    return Money(amount=amount, currency="KES")


def moved(before: dict[str, int], after: dict[str, int]) -> dict[str, int]:
    return {account: after[account] - before[account] for account in ACCOUNTS}


async def test_an_open_dispute_holds_the_amount_and_takes_the_fee(world: World) -> None:
    payment_id = await world.paid()
    before = await world.balances()
    dispute = await world.opened(payment_id)
    assert (dispute["status"], dispute["amount"], dispute["fee"]) == ("open", 10_000, FEE)
    assert moved(before, await world.balances()) == {
        MERCHANT_ACCOUNT: -10_000 - FEE,
        DISPUTES_ACCOUNT: 10_000,
        PROCESSOR_ACCOUNT: 0,
        FEES_ACCOUNT: FEE,
    }
    assert (await world.payment(payment_id))["amount_disputed"] == 10_000


@pytest.mark.parametrize(
    ("status", "merchant", "processor"), [("won", -FEE, 0), ("lost", -10_000 - FEE, 10_000)]
)
async def test_the_end_of_a_dispute_says_whose_the_amount_is(
    world: World, status: str, merchant: int, processor: int
) -> None:
    payment_id = await world.paid()
    before = await world.balances()
    dispute = await world.opened(payment_id)
    answer = await world.close(dispute, status)
    assert (answer.status_code, answer.json()["status"]) == (200, status)
    assert moved(before, await world.balances()) == {
        MERCHANT_ACCOUNT: merchant,
        DISPUTES_ACCOUNT: 0,
        PROCESSOR_ACCOUNT: processor,
        FEES_ACCOUNT: FEE,
    }
    again = await world.close(dispute, status)
    assert (again.status_code, again.json()["code"]) == (409, "dispute_not_open")


async def test_what_is_disputed_cannot_be_refunded_and_what_is_won_can(world: World) -> None:
    payment_id = await world.paid()
    dispute = await world.opened(payment_id, amount={"amount": 7_000, "currency": "KES"})
    refunds = f"/v1/payments/{payment_id}/refunds"
    too_much = {"amount": {"amount": 3_001, "currency": "KES"}}
    answer = await world.post(refunds, too_much, staff=False)
    assert (answer.status_code, answer.json()["code"]) == (422, "refund_exceeds_captured")

    assert (await world.post(refunds, {}, staff=False)).json()["amount"] == 3_000
    await world.close(dispute, "won")
    assert (await world.post(refunds, {}, staff=False)).json()["amount"] == 7_000
    assert (await world.payment(payment_id))["status"] == "refunded"


@pytest.mark.parametrize(
    ("amount", "status", "code"),
    [
        ({"amount": 10_001, "currency": "KES"}, 422, "dispute_exceeds_captured"),
        ({"amount": 10_000, "currency": "USD"}, 422, "currency_mismatch"),
    ],
)
async def test_an_operator_cannot_dispute_what_is_not_there(
    world: World, amount: dict[str, Any], status: int, code: str
) -> None:
    path = f"/v1/payments/{await world.paid()}/disputes"
    answer = await world.post(path, {"reason": "fraudulent", "amount": amount})
    assert (answer.status_code, answer.json()["code"]) == (status, code)


async def test_an_authorization_is_not_disputable(world: World) -> None:
    path = f"/v1/payments/{await world.paid(capture='manual')}/disputes"
    answer = await world.post(path, {"reason": "fraudulent"})
    assert (answer.status_code, answer.json()["code"]) == (409, "payment_not_disputable")


async def test_merchants_see_their_disputes_and_decide_none(world: World) -> None:
    payment_id = await world.paid()
    dispute = await world.opened(payment_id)
    assert [one["dispute_id"] for one in await world.disputes(payment_id)] == [
        dispute["dispute_id"]
    ]
    path = f"/v1/payments/{payment_id}/disputes"
    answer = await world.post(path, {"reason": "fraudulent"}, staff=False)
    assert answer.status_code == 403
    other = world.app.headers(merchant_id="mer_other")
    for place in (path, f"{path}/{dispute['dispute_id']}"):
        assert (await world.app.client.get(place, headers=other)).status_code == 404


async def test_a_repeat_of_an_opening_holds_once(world: World) -> None:
    path = f"/v1/payments/{await world.paid()}/disputes"
    key = uuid.uuid4().hex
    part = {"reason": "fraudulent", "amount": {"amount": 1_000, "currency": "KES"}}
    first = await world.post(path, part, key=key)
    again = await world.post(path, part, key=key)
    assert again.json() == first.json()
    assert again.headers["Idempotent-Replayed"] == "true"


@pytest.mark.parametrize("body", [{}, {"reason": ""}, {"reason": "x", "status": "won"}])
async def test_an_opening_says_why_and_nothing_else(world: World, body: dict[str, Any]) -> None:
    answer = await world.post(f"/v1/payments/{await world.paid()}/disputes", body)
    assert answer.status_code == 422


async def test_a_dispute_does_not_end_by_being_open(world: World) -> None:
    answer = await world.close(await world.opened(await world.paid()), "open")
    assert answer.status_code == 422


@pytest.mark.parametrize("end", ["won", "lost"])
async def test_the_sandbox_tells_of_a_dispute_and_of_its_end(world: World, end: str) -> None:
    payment_id = await world.paid(f"sandbox_dispute_{end}")
    assert await world.disputes(payment_id) == []
    await world.deliver_callbacks()
    assert [one["status"] for one in await world.disputes(payment_id)] == ["open"]
    await world.deliver_callbacks()
    assert [one["status"] for one in await world.disputes(payment_id)] == [end]


async def test_a_reported_dispute_is_held_once_however_often_it_is_told(world: World) -> None:
    payment_id = await world.paid()
    amount = kes(4_000)
    for _ in range(3):
        answer = await world.tell(payment_id=payment_id, key="cb_1#dispute_open", amount=amount)
        assert answer.status_code == 200
    again = await world.tell(payment_id=payment_id, key="cb_1#again", amount=amount)
    assert again.status_code == 200
    assert [one["amount"] for one in await world.disputes(payment_id)] == [4_000]


async def test_an_end_that_comes_before_its_beginning_is_sent_away(world: World) -> None:
    payment_id = await world.paid()
    told = {"payment_id": payment_id, "amount": kes(10_000)}
    early = await world.tell(**told, key="cb_2#end", effect="dispute_lost")
    assert (early.status_code, early.json()["code"]) == (503, "callback_too_early")
    assert (await world.tell(**told, key="cb_2#open")).status_code == 200
    assert (await world.tell(**told, key="cb_2#end", effect="dispute_lost")).status_code == 200
    assert [one["status"] for one in await world.disputes(payment_id)] == ["lost"]


async def test_a_dispute_of_what_is_not_captured_is_sent_away(world: World) -> None:
    payment_id = await world.paid(capture="manual")
    answer = await world.tell(payment_id=payment_id, key="cb_3#open", amount=kes(10_000))
    assert (answer.status_code, answer.json()["code"]) == (503, "callback_too_early")


@pytest.mark.parametrize("amount", [(10_001, "KES"), (10_000, "USD")])
async def test_a_reported_dispute_that_is_not_covered_stops_the_payment(
    world: World, amount: tuple[int, str]
) -> None:
    payment_id = await world.paid()
    answer = await world.tell(
        payment_id=payment_id,
        key=f"cb_4{amount}#open",
        amount=Money(amount=amount[0], currency=amount[1]),
    )
    assert answer.status_code == 200
    assert (await world.payment(payment_id))["status"] == "conflicted"
    assert await world.disputes(payment_id) == []
