"""What waits for processors is told with its age, and what is answered is not."""

import uuid

import pytest
from fintech_kernel.testing import ledger as test_ledger
from fintech_kernel.testing.apps import running_app
from fintech_kernel.testing.clocks import FrozenClock
from fintech_kernel.web.app import Overrides
from fintech_payments import plugin

pytestmark = pytest.mark.anyio


async def test_open_outcomes_are_counted_by_processor_with_the_age_of_the_oldest(
    database_url: str,
) -> None:
    clock = FrozenClock()
    async with running_app(
        database_url=database_url,
        plugins=[plugin, test_ledger],
        settings={"payments_without_merchants": True},
        overrides=Overrides(clock=clock),
    ) as app:
        statuses = []
        for token in ("sandbox_late", "sandbox_late", "sandbox_approve"):
            method = {"type": "card", "token": token}
            body = {"amount": 1200, "currency": "KES", "payment_method": method}
            headers = app.headers(merchant_id="mer_gauges")
            paid = await app.post("/v1/payments", body, key=uuid.uuid4().hex, headers=headers)
            statuses.append(paid.status_code)
            clock.advance(seconds=60)
        app.calls.clear()
        await app.context.gauges.read()
        text = (await app.client.get("/metrics")).text
    assert statuses == [202, 202, 201]
    assert "payments.with_open_outcomes" in {name for call in app.calls for name in call.names}
    assert 'fintech_payments_outcomes_open{processor="sandbox"} 2.0' in text
    assert 'fintech_payments_pending_oldest_seconds{processor="sandbox"} 180.0' in text
