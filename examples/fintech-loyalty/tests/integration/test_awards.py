"""Points follow real payments and refunds, once, whatever deliveries do."""

from dataclasses import replace

import pytest
from fintech_loyalty import plugin

pytestmark = pytest.mark.anyio


async def test_a_captured_payment_earns_a_point_for_each_whole_unit(shop):
    await shop.pay(10_050)

    assert await shop.points() == (100, 0, 100)


async def test_refunds_take_points_back_and_a_whole_refund_all_of_them(shop):
    payment_id = await shop.pay(10_050)
    await shop.refund(payment_id, 4_025)
    after_part = await shop.points()
    await shop.refund(payment_id)

    assert after_part == (60, 0, 60)
    assert await shop.points() == (0, 0, 0)


async def test_a_payment_that_only_was_authorized_earns_nothing(shop):
    payment_id = await shop.pay(10_000, capture="manual")
    before = await shop.points()
    part = {"amount": {"amount": 3_000, "currency": "KES"}}
    await shop.post(f"/v1/payments/{payment_id}/capture", part)

    assert before == (0, 0, 0)
    assert await shop.points() == (30, 0, 30)


@pytest.mark.parametrize("metadata", [{}, {"customer": "C 1"}, {"customer": "c" * 41}])
async def test_a_payment_without_a_customer_earns_nothing(shop, metadata):
    await shop.pay(10_000, metadata=metadata)

    assert await shop.points() == (0, 0, 0)
    assert await shop.app.context.events.dead() == []


async def test_one_name_at_two_merchants_is_two_customers(shop):
    await shop.pay(10_000)
    other = replace(shop, merchant_id=f"{shop.merchant_id}_2")

    assert await shop.points() == (100, 0, 100)
    assert await other.points() == (0, 0, 0)


async def test_events_that_come_late_and_twice_award_the_same(shop, app):
    payment_id = await shop.pay(10_050)
    await shop.refund(payment_id, 4_025)
    stream = await app.context.journal.stream(shop.merchant_id, payment_id)
    captures, refunds = plugin.fintech_event_handlers(app.context)

    for entry in reversed(stream.entries):
        for handler in (refunds, captures):
            if entry.type == handler.event:
                await handler.handle(entry)
                await handler.handle(entry)

    assert await shop.points() == (60, 0, 60)
