"""When a merchant can have its money: its delay, from the capture to the settlement, across all plugins."""

import uuid
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest
from fintech_kernel.domain.permissions import PLATFORM_ADMIN
from fintech_kernel.testing.apps import RunningApp, running_app
from fintech_kernel.testing.clocks import FrozenClock
from fintech_kernel.web.app import Overrides
from fintech_ledger.domain.closes import Closes

pytestmark = pytest.mark.anyio

DELAY_DAYS = 2
SALE, FEE, REFUND = 10_000, 290, 1_000


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock()


@pytest.fixture
async def app(anyio_backend, database_url: str, clock: FrozenClock) -> AsyncIterator[RunningApp]:
    async with running_app(
        database_url=database_url, plugins=None, overrides=Overrides(clock=clock)
    ) as running:
        yield running


async def post(app: RunningApp, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
    headers = app.headers(PLATFORM_ADMIN)
    return (await app.post(path, body, key=uuid.uuid4().hex, headers=headers)).json()


async def onboarded(app: RunningApp) -> str:
    made = await post(
        app,
        "/v1/merchants",
        {
            "name": "Kiosk",
            "currencies": ["KES"],
            "settlement": {"delay_days": DELAY_DAYS},
            "pricing": [{"currency": "KES", "basis_points": 290}],
        },
    )
    path = f"/v1/merchants/{made['merchant_id']}"
    verdict = {"outcome": "verified", "reference": "kyb-1", "reason": "seen"}
    await post(app, f"{path}/verification", verdict)
    await post(app, f"{path}/activate", {"reason": "verified"})
    return made["merchant_id"]


async def sold(app: RunningApp, merchant_id: str) -> str:
    made = await post(
        app,
        "/v1/payments",
        {
            "merchant_id": merchant_id,
            "amount": SALE,
            "currency": "KES",
            "payment_method": {"type": "card", "token": "sandbox_approve"},
        },
    )
    return made["payment_id"]


async def refunded(app: RunningApp, payment_id: str) -> None:
    body = {"amount": {"amount": REFUND, "currency": "KES"}}
    made = await post(app, f"/v1/payments/{payment_id}/refunds", body)
    assert made["status"] == "succeeded", made


async def balance(app: RunningApp, merchant_id: str, **params: str) -> tuple[int, int, int]:
    answer = await app.client.get(
        f"/v1/ledger/accounts/liabilities:merchant:{merchant_id}:KES",
        params=params,
        headers=app.headers(PLATFORM_ADMIN),
    )
    found = answer.json()
    return found["pending"], found["available"], found["in_settlement"]


async def settled(app: RunningApp, merchant_id: str) -> dict[str, Any]:
    return await post(app, "/v1/settlements", {"merchant_id": merchant_id, "currency": "KES"})


async def test_a_sale_is_pending_for_the_merchants_delay_and_then_settled(app, clock):
    merchant_id = await onboarded(app)
    await sold(app, merchant_id)
    at_once = await balance(app, merchant_id), await settled(app, merchant_id)
    clock.advance(seconds=DELAY_DAYS * 86_400 - 1)
    just_before = await balance(app, merchant_id), await settled(app, merchant_id)
    clock.advance(seconds=1)

    then = await balance(app, merchant_id)
    settlement = await settled(app, merchant_id)

    assert [one[0] for one in (at_once, just_before)] == [(SALE - FEE, 0, 0)] * 2
    assert [one[1]["code"] for one in (at_once, just_before)] == ["nothing_due"] * 2
    assert then == (0, SALE - FEE, 0)
    assert settlement["total"] == SALE - FEE
    assert await balance(app, merchant_id) == (0, 0, SALE - FEE)


async def test_a_refund_waits_with_its_capture_and_counts_at_once_behind_it(app, clock):
    merchant_id = await onboarded(app)
    payment_id = await sold(app, merchant_id)
    await refunded(app, payment_id)
    early = await balance(app, merchant_id)
    clock.advance(days=DELAY_DAYS)
    due = await balance(app, merchant_id)
    await refunded(app, payment_id)

    assert early == (SALE - FEE - REFUND, 0, 0)
    assert due == (0, SALE - FEE - REFUND, 0)
    assert await balance(app, merchant_id) == (0, SALE - FEE - 2 * REFUND, 0)


async def test_folds_and_closes_change_nothing_of_it(app, clock):
    merchant_id = await onboarded(app)
    await sold(app, merchant_id)
    clock.advance(seconds=1)
    await app.context.services.get(Closes).run()
    pending = await balance(app, merchant_id)
    clock.advance(days=1)
    await app.context.services.get(Closes).run()
    clock.advance(days=1)
    await settled(app, merchant_id)
    await app.context.services.get(Closes).run()

    assert pending == (SALE - FEE, 0, 0)
    assert await balance(app, merchant_id) == (0, 0, SALE - FEE)
    assert await balance(app, merchant_id, at="2025-10-09") == (SALE - FEE, 0, 0)
    assert await balance(app, merchant_id, at="2025-10-10") == (SALE - FEE, 0, 0)
