"""Who speaks to the server in these tests, and the way from onboarding to a paid settlement."""

import uuid
from dataclasses import dataclass
from typing import Any

from fintech_kernel.domain.permissions import AUDITOR, PLATFORM_FINANCE
from fintech_kernel.testing.apps import RunningApp

CURRENCY = "KES"
SUSPENSE = f"suspense:reconciliation:{CURRENCY}"
BANK = f"assets:bank:{CURRENCY}"
SOMEBODY = "mer_01k9qq3v5kf7wsc0d3jz8y2m4t"
"""A merchant that a token names and no directory knows."""

AMOUNT, FEE = 10_000, 350
"""100.00 at 2.9 % and 0.60."""

PRICING = [{"currency": CURRENCY, "basis_points": 290, "fixed": 60}]


@dataclass(frozen=True)
class People:
    """Staff and merchants of one application."""

    app: RunningApp

    async def see(self, path: str) -> Any:
        answer = await self.app.client.get(path, headers=self.app.headers(AUDITOR))
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def do(self, path: str, body: Any, *roles: str, by: str = "ann", of: str = "") -> Any:
        headers = self.app.headers(*roles, subject=by, merchant_id=of)
        answer = await self.app.post(path, body, key=uuid.uuid4().hex, headers=headers)
        assert answer.status_code in {200, 201}, answer.text
        return answer.json()

    async def onboard(self) -> str:
        body = {"name": "Shop", "currencies": [CURRENCY], "settlement": {"delay_days": 0}}
        path = "/v1/merchants"
        merchant_id = (await self.do(path, {**body, "pricing": PRICING}))["merchant_id"]
        await self.do(
            f"{path}/{merchant_id}/verification", {"outcome": "verified", "reference": "kyb-1"}
        )
        await self.do(f"{path}/{merchant_id}/activate", {"reason": "signed"})
        return merchant_id

    async def adjust(self, debit: str, credit: str, amount: int) -> None:
        body = {"debit_account": debit, "credit_account": credit, "amount": amount}
        words = {"currency": CURRENCY, "reason": "opening balance", "reference": "statement-1"}
        path = "/v1/ledger/adjustments"
        proposed = await self.do(path, {**body, **words}, PLATFORM_FINANCE, by="ann")
        approve = f"{path}/{proposed['adjustment_id']}/approve"
        await self.do(approve, {}, PLATFORM_FINANCE, by="ben")

    async def take_payment(self, merchant_id: str) -> Any:
        body = {
            "merchant_id": merchant_id,
            "amount": AMOUNT,
            "currency": CURRENCY,
            "capture": "automatic",
            "payment_method": {"type": "card", "token": "sandbox_approve"},
            "reference": uuid.uuid4().hex,
        }
        return await self.do("/v1/payments", body, of=merchant_id)

    async def settle(self, merchant_id: str) -> Any:
        body = {"merchant_id": merchant_id, "currency": CURRENCY}
        path = "/v1/settlements"
        opened = await self.do(path, body, PLATFORM_FINANCE, by="ann")
        mine = f"{path}/{opened['settlement_id']}"
        await self.do(f"{mine}/approve", {}, PLATFORM_FINANCE, by="ann")
        return await self.do(f"{mine}/pay", {}, PLATFORM_FINANCE, by="ben")

    async def told_of(self, merchant_id: str) -> list[str]:
        """Make an endpoint that wants everything; return what is on its way to the merchant's, in order."""
        mine = f"/v1/webhooks/{merchant_id}"
        await self.do(f"{mine}/endpoints", {"url": "https://shop.example.com/", "events": ["*"]})
        await self.app.deliver_events()
        return [one["type"] for one in (await self.see(f"{mine}/deliveries"))["data"][::-1]]

    async def balance(self, account: str) -> int:
        return int((await self.see(f"/v1/ledger/accounts/{account}"))["balance"])


def owed_to(merchant_id: str) -> str:
    return f"liabilities:merchant:{merchant_id}:{CURRENCY}"


async def everything(people: People) -> None:
    merchant_id = await people.onboard()
    await people.take_payment(merchant_id)
    settlement = await people.settle(merchant_id)
    assert (settlement["status"], settlement["total"]) == ("paid", AMOUNT - FEE)
    assert await people.balance(owed_to(merchant_id)) == 0
