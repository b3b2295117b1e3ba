"""Authorizations whose time is over: released once, by whatever number of processes."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from typing import Any

import pytest
from fintech_dbclient import Statement
from fintech_kernel.testing import ledger as test_ledger
from fintech_kernel.testing.apps import RunningApp, running_app
from fintech_kernel.testing.clocks import FrozenClock
from fintech_kernel.web.app import Overrides
from fintech_payments import plugin

pytestmark = pytest.mark.anyio

SETTINGS = {
    "payments_without_merchants": True,
    "payments_authorization_days": 7,
}
DAYS = 86_400


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock()


@pytest.fixture
async def app(
    database_url: str, clock: FrozenClock, anyio_backend: str
) -> AsyncIterator[RunningApp]:
    async with running_app(
        database_url=database_url,
        plugins=[plugin, test_ledger],
        settings=SETTINGS,
        overrides=Overrides(clock=clock),
    ) as running:
        yield running


@pytest.fixture
def merchant() -> str:
    return f"mer_{uuid.uuid4().hex[:10]}"


async def authorized(app: RunningApp, merchant: str, *, declines: str = "") -> dict[str, Any]:
    body = {
        "amount": 10_000,
        "currency": "KES",
        "capture": "manual",
        "payment_method": {"type": "card", "token": f"sandbox_{declines or 'approve'}"},
    }
    answer = await app.post(
        "/v1/payments", body, key=uuid.uuid4().hex, headers=app.headers(merchant_id=merchant)
    )
    return answer.json()


async def post(app: RunningApp, merchant: str, path: str, amount: int | None = None) -> Any:
    body = {} if amount is None else {"amount": {"amount": amount, "currency": "KES"}}
    return await app.post(
        f"/v1/payments/{path}",
        body,
        key=uuid.uuid4().hex,
        headers=app.headers(merchant_id=merchant),
    )


async def shown(app: RunningApp, merchant: str, payment_id: str) -> dict[str, Any]:
    answer = await app.client.get(
        f"/v1/payments/{payment_id}", headers=app.headers(merchant_id=merchant)
    )
    return answer.json()


async def expire(app: RunningApp) -> None:
    jobs = plugin.fintech_jobs(app.context)
    await next(one for one in jobs if one.name == "payments.expire").run()


async def cancellations(app: RunningApp, payment_id: str) -> int:
    found = await app.context.database.execute(
        Statement(
            name="test.cancellations",
            sql="SELECT COUNT(*) AS calls FROM payments_sandbox_calls"
            " WHERE payment_id = ? AND effect = 'cancel'",
            params=(payment_id,),
        )
    )
    return int(str(found.rows[0]["calls"]))


async def test_an_authorization_expires_when_its_time_is_over_and_not_before(
    app: RunningApp, clock: FrozenClock, merchant: str
) -> None:
    made = await authorized(app, merchant)
    assert made["expires_at"] == clock.now_milliseconds() + 7 * DAYS * 1_000

    clock.advance(seconds=7 * DAYS - 1)
    await expire(app)
    early = await shown(app, merchant, made["payment_id"])
    clock.advance(seconds=1)
    await expire(app)
    late = await shown(app, merchant, made["payment_id"])

    assert (early["status"], late["status"]) == ("authorized", "expired")
    assert await cancellations(app, made["payment_id"]) == 1
    refused = [
        (await post(app, merchant, f"{made['payment_id']}/{step}")).json()["code"]
        for step in ("capture", "cancel", "refunds")
    ]
    assert refused == ["payment_not_capturable", "payment_not_cancelable", "payment_not_refundable"]


async def test_a_partly_captured_payment_stays_captured_and_its_rest_is_released(
    app: RunningApp, clock: FrozenClock, merchant: str
) -> None:
    made = await authorized(app, merchant)
    await post(app, merchant, f"{made['payment_id']}/capture", 4_000)

    clock.advance(days=7)
    await expire(app)
    await expire(app)

    after = await shown(app, merchant, made["payment_id"])
    capture = await post(app, merchant, f"{made['payment_id']}/capture", 1)
    refund = await post(app, merchant, f"{made['payment_id']}/refunds", 1_000)
    assert (after["status"], after["amount_captured"]) == ("captured", 4_000)
    assert await cancellations(app, made["payment_id"]) == 1
    assert (capture.json()["code"], refund.status_code) == ("payment_not_capturable", 201)


async def test_what_was_captured_or_canceled_in_time_does_not_expire(
    app: RunningApp, clock: FrozenClock, merchant: str
) -> None:
    captured, canceled = [await authorized(app, merchant) for _ in range(2)]
    await post(app, merchant, f"{captured['payment_id']}/capture")
    await post(app, merchant, f"{canceled['payment_id']}/cancel")

    clock.advance(days=8)
    await expire(app)

    statuses = [
        (await shown(app, merchant, one["payment_id"]))["status"] for one in (captured, canceled)
    ]
    assert statuses == ["captured", "canceled"]
    assert await cancellations(app, captured["payment_id"]) == 0


async def test_a_processor_that_would_not_release_ends_the_authorization_here_all_the_same(
    app: RunningApp, clock: FrozenClock, merchant: str
) -> None:
    made = await authorized(app, merchant, declines="cancel_fails")
    clock.advance(days=7)
    await expire(app)
    after = await shown(app, merchant, made["payment_id"])
    stream = await app.context.journal.stream(merchant, made["payment_id"])
    assert after["status"] == "expired"
    assert stream.entries[-1].data["decline_code"] == "cancel_declined"


async def test_several_processes_release_an_authorization_once(
    app: RunningApp, database_url: str, clock: FrozenClock, merchant: str
) -> None:
    made = [await authorized(app, merchant) for _ in range(3)]
    clock.advance(days=7)
    async with running_app(
        database_url=database_url,
        plugins=[plugin, test_ledger],
        settings={**SETTINGS, "app_migrate_on_start": False},
        overrides=Overrides(clock=clock),
    ) as other:
        await asyncio.gather(expire(app), expire(other), expire(app), expire(other))
    for one in made:
        assert (await shown(app, merchant, one["payment_id"]))["status"] == "expired"
        assert await cancellations(app, one["payment_id"]) == 1
