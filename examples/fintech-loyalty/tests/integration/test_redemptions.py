"""A redemption happens once: under one fault at each database call, and when many want the same points."""

import asyncio
import uuid
from contextlib import suppress
from dataclasses import replace

import httpx
import pytest
from fintech_dbclient import HttpDatabase, NotApplied
from fintech_kernel.errors import OutcomeUnknown
from fintech_kernel.testing.apps import running_app
from fintech_kernel.testing.faults import Fault, FaultyDatabase, ProcessKilled
from fintech_kernel.web.app import Overrides
from fintech_loyalty.domain.model import account_id

pytestmark = pytest.mark.anyio

CALLS_MAX = 5
"""More than a redemption makes."""


@pytest.fixture
def redeem_struck(shop, database_url, frozen_clock, plugins):
    async def redeem(fault: Fault, at: int, *, key: str) -> httpx.Response | None:
        """Redeem 40 at a process of its own whose database call number ``at`` goes wrong."""
        async with HttpDatabase(database_url) as real:
            port = FaultyDatabase(real)
            with suppress(OutcomeUnknown, NotApplied, ProcessKilled):
                async with running_app(
                    database_url=database_url,
                    plugins=plugins,
                    settings={"payments_without_merchants": True, "app_migrate_on_start": False},
                    overrides=Overrides(clock=frozen_clock, database=port),
                ) as app:
                    port._at, port._fault = len(port.calls) + at, fault
                    return await replace(shop, app=app).redeem(40, key=key)
        return None

    return redeem


@pytest.mark.parametrize("fault", list(Fault))
async def test_one_fault_at_any_call_takes_the_points_once(
    shop, app, frozen_clock, redeem_struck, fault
):
    await shop.pay(100_000)
    for at in range(CALLS_MAX):
        key = uuid.uuid4().hex
        _, before, _ = await shop.points()
        first = await redeem_struck(fault, at, key=key)

        frozen_clock.advance(seconds=3_600)
        await app.context.operations.recover()
        final = await shop.redeem(40, key=key)

        assert final.status_code == 201, (at, final.text)
        if first is not None and first.status_code == 201:
            assert first.json() == final.json(), at
        _, after, _ = await shop.points()
        assert after - before == 40, at


async def test_recovery_redeems_what_a_killed_process_left(shop, app, frozen_clock, redeem_struck):
    await shop.pay(10_000)
    await shop.points()
    for at in range(CALLS_MAX):
        await redeem_struck(Fault.KILLED_AFTER, at, key=uuid.uuid4().hex)
        frozen_clock.advance(seconds=3_600)
        if await app.context.operations.recover():
            break
    else:
        raise AssertionError("no operation was left behind")

    assert await shop.points() == (100, 40, 60)


async def test_of_many_that_want_the_same_points_as_many_get_them_as_there_are(shop, app):
    await shop.pay(10_000)
    await shop.points()

    answers = await asyncio.gather(*(shop.redeem(40) for _ in range(8)))

    assert sorted(answer.status_code for answer in answers) == [201] * 2 + [409] * 6
    assert await shop.points() == (100, 80, 20)
    stream = await app.context.journal.stream(shop.merchant_id, account_id("c_1"))
    assert len(stream.verified().entries) == 8, "refusals are recorded too"


async def test_points_that_were_spent_are_owed_when_the_payment_is_refunded(shop):
    payment_id = await shop.pay(10_000)
    await shop.points()
    await shop.redeem(100)
    await shop.refund(payment_id)

    assert await shop.points() == (0, 100, -100)
    refused = await shop.redeem(10)
    assert refused.json()["facts"] == {"points_left": -100}
