"""The timeline of a payment: what happened, what is under way, and what happens next."""

import json
import uuid
from collections.abc import AsyncIterator
from typing import Any

import pytest
from fintech_kernel.testing import ledger as test_ledger
from fintech_kernel.testing.apps import RunningApp, running_app
from fintech_kernel.testing.clocks import FrozenClock
from fintech_kernel.web.app import Overrides
from fintech_payments import plugin

pytestmark = pytest.mark.anyio

MERCHANT = "mer_test"


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
        settings={"payments_without_merchants": True},
        overrides=Overrides(clock=clock),
    ) as running:
        yield running


async def post(app: RunningApp, path: str, body: dict[str, Any]) -> dict[str, Any]:
    headers = app.headers(merchant_id=MERCHANT)
    answer = await app.post(f"/v1/payments{path}", body, key=uuid.uuid4().hex, headers=headers)
    return answer.json()


async def pay(app: RunningApp, *, behaviour: str = "approve", **more: Any) -> str:
    body = {
        "amount": 10_000,
        "currency": "KES",
        "payment_method": {"type": "card", "token": f"sandbox_{behaviour}"},
        **more,
    }
    return str((await post(app, "", body))["payment_id"])


async def timeline(app: RunningApp, payment_id: str, merchant: str = MERCHANT) -> Any:
    return await app.client.get(
        f"/v1/payments/{payment_id}/timeline", headers=app.headers(merchant_id=merchant)
    )


async def test_it_tells_every_entry_with_its_transfers_and_deliveries(app: RunningApp) -> None:
    payment_id = await pay(app)
    await post(app, f"/{payment_id}/refunds", {"amount": {"amount": 3_000, "currency": "KES"}})
    await app.deliver_events()

    told = (await timeline(app, payment_id)).json()

    assert [entry["type"] for entry in told["entries"]] == [
        "payment.created",
        "payment.authorized",
        "payment.captured",
        "payment.refund_requested",
        "payment.refund_succeeded",
    ]
    posted = [one for entry in told["entries"] for one in entry["transfers"]]
    assert [(one["kind"], one["amount"]) for one in posted] == [
        ("Settled", 10_000),
        ("Refunded", 3_000),
    ]
    assert [one["outcome"] for one in told["processor_calls"]] == ["approved", "approved"]
    states = {one["state"] for entry in told["entries"] for one in entry["deliveries"]}
    assert states == {"done"}
    assert (told["pending"], [one["at"] for one in told["next"]]) == ([], [None])


async def test_the_transfers_that_it_tells_are_those_that_the_ledger_has(app: RunningApp) -> None:
    from fintech_dbclient import Statement

    payment_id = await pay(app)
    told = (await timeline(app, payment_id)).json()
    (transfer,) = [one for entry in told["entries"] for one in entry["transfers"]]
    found = await app.context.database.execute(
        Statement(
            name="test.transfer",
            sql="SELECT debit_account, credit_account, amount, kind FROM test_ledger_transfers"
            " WHERE transfer_id = ?",
            params=(transfer["transfer_id"],),
        )
    )
    assert [dict(row) for row in found.rows] == [
        {name: transfer[name] for name in ("debit_account", "credit_account", "amount", "kind")}
    ]


async def test_it_says_when_the_processor_is_asked_again_and_when_the_rest_is_released(
    app: RunningApp, clock: FrozenClock
) -> None:
    late = await pay(app, behaviour="silent")
    held = await pay(app, capture="manual")
    await app.deliver_events()
    now = clock.now_milliseconds()
    asked, released = [(await timeline(app, one)).json()["next"] for one in (late, held)]
    assert [one["at"] for one in asked] == [now + 15_000]
    assert [one["at"] for one in released] == [now + 7 * 86_400_000]


async def test_it_tells_what_was_refused_and_why(app: RunningApp) -> None:
    payment_id = await pay(app)
    await post(app, f"/{payment_id}/refunds", {"amount": {"amount": 10_001, "currency": "KES"}})
    last = (await timeline(app, payment_id)).json()["entries"][-1]
    assert (last["type"], last["details"]["code"]) == (
        "operation.refused",
        "refund_exceeds_captured",
    )


async def test_it_tells_no_token_and_no_name(app: RunningApp) -> None:
    text = json.dumps((await timeline(app, await pay(app))).json())
    assert "sandbox_approve" not in text
    assert "tester" not in text


async def test_a_foreign_timeline_is_absent(app: RunningApp) -> None:
    payment_id = await pay(app)
    assert (await timeline(app, payment_id, merchant="mer_other")).status_code == 404
