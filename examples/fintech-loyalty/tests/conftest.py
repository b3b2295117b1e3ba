"""The world of these tests: loyalty beside real payments, on a real database service."""

import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from fintech_kernel.testing import ledger
from fintech_kernel.testing.apps import RunningApp, running_app
from fintech_kernel.testing.clocks import FrozenClock
from fintech_kernel.web.app import Overrides
from fintech_loyalty import plugin
from fintech_payments import plugin as payments

pytest_plugins = ["fintech_kernel.simulation.pytest_plugin"]

PLUGINS = [plugin, payments, ledger]
SETTINGS = {"payments_without_merchants": True}


@dataclass(frozen=True, slots=True, kw_only=True)
class Shop:
    """A merchant of an app; each test has one of its own."""

    app: RunningApp
    merchant_id: str

    def headers(self, *roles: str) -> dict[str, str]:
        return self.app.headers(*roles, merchant_id=self.merchant_id)

    async def pay(self, amount: int, **changes: Any) -> str:
        """Take a payment and return its id."""
        body = {
            "amount": amount,
            "currency": "KES",
            "payment_method": {"type": "card", "token": "sandbox_approve"},
            "metadata": {"customer": "c_1"},
            **changes,
        }
        answer = await self.post("/v1/payments", body)
        assert answer.status_code == 201, answer.text
        return answer.json()["payment_id"]

    async def refund(self, payment_id: str, amount: int | None = None) -> None:
        part = {} if amount is None else {"amount": {"amount": amount, "currency": "KES"}}
        answer = await self.post(f"/v1/payments/{payment_id}/refunds", part)
        assert answer.status_code == 201, answer.text

    async def redeem(self, points: int, *, key: str | None = None) -> httpx.Response:
        path = "/v1/loyalty/customers/c_1/redemptions"
        return await self.post(path, {"points": points}, key=key)

    async def points(self, customer_id: str = "c_1") -> tuple[int, int, int]:
        """Deliver what happened, then return what the customer earned, redeemed and has left."""
        await self.app.deliver_events()
        path = f"/v1/loyalty/customers/{customer_id}"
        shown = (await self.app.client.get(path, headers=self.headers())).json()
        return shown["earned"], shown["redeemed"], shown["left"]

    async def post(
        self, path: str, body: dict[str, Any], *, key: str | None = None
    ) -> httpx.Response:
        return await self.app.post(path, body, key=key or uuid.uuid4().hex, headers=self.headers())


@pytest.fixture
async def app(
    database_url: str, frozen_clock: FrozenClock, anyio_backend: str
) -> AsyncIterator[RunningApp]:
    async with running_app(
        database_url=database_url,
        plugins=PLUGINS,
        settings=SETTINGS,
        overrides=Overrides(clock=frozen_clock),
    ) as running:
        yield running


@pytest.fixture
def shop(app: RunningApp) -> Shop:
    return Shop(app=app, merchant_id=f"mer_{uuid.uuid4().hex}")


@pytest.fixture
def plugins() -> list[object]:
    return PLUGINS
