"""What you get with what: each row of the table in ``docs/modules.md``, driven over HTTP."""

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

import pytest
from fintech_kernel.testing.apps import running_app
from page import missing, read_choices, settings_of
from people import AMOUNT, BANK, CURRENCY, FEE, SOMEBODY, SUSPENSE, People, everything, owed_to


async def kernel(people: People) -> None:
    assert (await people.see("/v1/auth/principal"))["subject"] == "tester"
    assert (await people.see("/v1/audit/entries"))["data"] == []


async def ledger(people: People) -> None:
    await people.adjust(SUSPENSE, BANK, AMOUNT)
    assert abs(await people.balance(BANK)) == AMOUNT
    (trial,) = (await people.see("/v1/ledger/trial-balance"))["data"]
    assert (trial["currency"], trial["difference"]) == (CURRENCY, 0)


async def merchants(people: People) -> None:
    merchant_id = await people.onboard()
    path = f"/v1/merchants/{merchant_id}"
    key = await people.do(f"{path}/api-keys", {"name": "till", "scopes": ["merchants:read"]})
    form = {"client_id": key["key_id"], "client_secret": key["secret"]}
    grant = {"grant_type": "client_credentials", **form}
    token = (await people.app.client.post("/v1/auth/token", data=grant)).json()["access_token"]
    seen = await people.app.client.get(path, headers={"Authorization": f"Bearer {token}"})
    assert seen.json()["status"] == "active"


async def ledger_and_merchants(people: People) -> None:
    account = owed_to(await people.onboard())
    await people.adjust(SUSPENSE, account, AMOUNT)
    assert await people.balance(account) == AMOUNT


async def ledger_and_payments(people: People) -> None:
    payment = await people.take_payment(SOMEBODY)
    assert (payment["status"], payment["amount_captured"]) == ("captured", AMOUNT)
    assert await people.balance(owed_to(SOMEBODY)) == AMOUNT


async def ledger_merchants_and_payments(people: People) -> None:
    merchant_id = await people.onboard()
    payment = await people.take_payment(merchant_id)
    assert (payment["status"], payment["fee"]["amount"]) == ("captured", FEE)
    assert await people.balance(owed_to(merchant_id)) == AMOUNT - FEE


async def ledger_merchants_and_settlements(people: People) -> None:
    merchant_id = await people.onboard()
    await people.adjust(SUSPENSE, owed_to(merchant_id), AMOUNT)
    settlement = await people.settle(merchant_id)
    assert (settlement["status"], settlement["total"]) == ("paid", AMOUNT)
    assert await people.balance(owed_to(merchant_id)) == 0


async def webhooks(people: People) -> None:
    assert await people.told_of(SOMEBODY) == ["webhook_endpoint.created"]


async def merchants_and_webhooks(people: People) -> None:
    merchant_id = await people.onboard()
    await people.told_of(merchant_id)
    await people.do(f"/v1/merchants/{merchant_id}/suspend", {"reason": "seen"})
    assert "merchant.suspended" in await people.told_of(merchant_id)


PROMISES: dict[str, Callable[[People], Awaitable[None]]] = {
    "kernel": kernel,
    "ledger": ledger,
    "merchants": merchants,
    "ledger+merchants": ledger_and_merchants,
    "ledger+payments": ledger_and_payments,
    "ledger+merchants+payments": ledger_merchants_and_payments,
    "ledger+merchants+settlements": ledger_merchants_and_settlements,
    "webhooks": webhooks,
    "merchants+webhooks": merchants_and_webhooks,
    "all": everything,
}


def test_every_choice_that_starts_has_a_promise():
    assert {name for name, needs in read_choices().items() if not missing(needs)} == set(PROMISES)


@pytest.mark.anyio
async def test_the_choice_does_what_the_page_promises(choice, needs, database_url):
    if missing(needs):
        pytest.skip("this choice is refused; see test_subset")
    async with AsyncExitStack() as stack:
        app = await stack.enter_async_context(
            running_app(database_url=database_url, plugins=None, settings=settings_of(needs))
        )
        await PROMISES[choice](People(app))
